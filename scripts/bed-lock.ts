import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Bytes of a name in that table. Node.js 20 fills names up with zeros and later versions don't: of this length they agree. */
const NAME_BYTES = 108;

/**
 * Runs `work` while no other process of this machine holds the lock of this name. The lock is a name in the kernel's
 * abstract socket table, so the kernel releases it when its holder ends. Not reentrant.
 */
export async function withLock<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  const lock = net.createServer();
  while (!(await tryListen(lock, name))) await sleep(20);
  try {
    return await work();
  } finally {
    await new Promise((resolve) => lock.close(resolve));
  }
}

function tryListen(lock: net.Server, name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      lock.removeAllListeners("listening");
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    };
    lock.once("error", onError);
    lock.listen(`\0${name}`.padEnd(NAME_BYTES, "\0"), () => {
      lock.removeListener("error", onError);
      resolve(true);
    });
  });
}
