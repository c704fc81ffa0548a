// "Download Files", into the working folder. Usage: download.js CUID FILE FOLDER
const axios = require("axios");
// The document imports it only in the first function, but the second needs it too.
const fs = require("node:fs");

// Download single file
async function downloadFile(baseUrl, cuid, filePath, auth) {
  const response = await axios.get(`${baseUrl}/containers/${cuid}/download`, {
    params: { path: filePath },
    headers: { Authorization: `Basic ${auth}` },
    responseType: "stream",
  });
  // Save to file
  const writer = fs.createWriteStream("downloaded_file");
  response.data.pipe(writer);
  return new Promise((resolve, reject) => {
    writer.on("finish", resolve);
    writer.on("error", reject);
  });
}

// Download directory as ZIP
async function downloadDirectory(baseUrl, cuid, dirPath, auth) {
  const response = await axios.get(`${baseUrl}/containers/${cuid}/download-zip`, {
    params: { path: dirPath },
    headers: { Authorization: `Basic ${auth}` },
    responseType: "arraybuffer",
  });
  // Save ZIP file
  fs.writeFileSync("container_backup.zip", response.data);
}

const { BASE_URL, APP_USER, APP_PASS } = process.env;
const auth = Buffer.from(`${APP_USER}:${APP_PASS}`).toString("base64");
const [cuid, file, folder] = process.argv.slice(2);
downloadFile(BASE_URL, cuid, file, auth).then(() => downloadDirectory(BASE_URL, cuid, folder, auth));
