import type { Readable } from "node:stream";
import { AppError } from "../errors";
import { lazyRequire } from "../support/lazy-require";
import { onPrematureClose } from "../support/premature-close";

const loadBusboy = lazyRequire(() => require("@fastify/busboy") as typeof import("@fastify/busboy"));

/**
 * Finds the one file of a form.
 * @param body of multipart/form-data
 * @param take what to do with the file; the rest of the form is read on meanwhile
 * @throws AppError INVALID_BODY if there is none, or the form can't be read to its end
 */
export async function fileOfForm(body: Readable, type: string, take: (file: Readable) => Promise<void>): Promise<void> {
  const invalid = (reason: string) => new AppError("INVALID_BODY", { message: `The form ${reason}` });
  const form = parserOf(type, invalid);
  let taken: Promise<void> | undefined;
  const read = new Promise<void>((resolve, reject) => {
    form.on("file", (_field, file) => {
      // Whoever takes it is told by the form.
      file.on("error", () => undefined);
      if (taken) return void file.resume();
      taken = take(file);
      taken.catch(reject);
    });
    form.on("finish", resolve);
    form.on("error", (error) => reject(invalid(`can't be read: ${(error as Error).message}`)));
    onPrematureClose(body, (error = invalid("ends too early")) => reject(error));
  });
  body.pipe(form);
  try {
    await read;
    if (!taken) throw invalid("has no file");
    await taken;
  } finally {
    body.unpipe(form);
    form.on("error", () => undefined).destroy();
  }
}

function parserOf(type: string, invalid: (reason: string) => AppError) {
  const { Busboy } = loadBusboy();
  try {
    return new Busboy({ headers: { "content-type": type }, limits: { files: 2, fields: 100, fieldSize: 65_536, parts: 110 } });
  } catch (error) {
    throw invalid(`can't be read: ${(error as Error).message}`);
  }
}
