// "List Containers with Pagination". Usage: list.js STATUS…
const axios = require("axios");

async function listContainers(baseUrl, auth, status = null, cursor = null) {
  const params = {};
  if (status) params.status = status.join(",");
  if (cursor) params.cursor = cursor;
  const response = await axios.get(`${baseUrl}/containers`, {
    params,
    headers: {
      Authorization: `Basic ${auth}`,
    },
  });
  const data = response.data;
  console.log(`Found ${data.containers.length} containers`);
  // Handle pagination
  if (data.next_cursor) {
    console.log("More results available, cursor:", data.next_cursor);
    // Fetch next page
    await listContainers(baseUrl, auth, status, data.next_cursor);
  }
  return data.containers;
}

const { BASE_URL, APP_USER, APP_PASS } = process.env;
const auth = Buffer.from(`${APP_USER}:${APP_PASS}`).toString("base64");
listContainers(BASE_URL, auth, process.argv.slice(2)).then((containers) =>
  console.log(JSON.stringify(containers.map(({ cuid, status }) => ({ cuid, status })))),
);
