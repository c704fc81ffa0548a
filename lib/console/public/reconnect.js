// Streams that broke are opened again.

const RECONNECT_PAUSE_MS = 2000;
const BURST_LIMITED = 429;
/** A node that was silent for long is no member of the pool until it is back. */
const NODE_AWAY = "NODE_NOT_FOUND";

/** Whether the server refuses a request for good: to repeat it is of no use. @param {any} error */
export const isRefused = ({ status, code }) => status >= 400 && status < 500 && status !== BURST_LIMITED && code !== NODE_AWAY;

/**
 * Waits a while, and until the tab is shown: a hidden one asks for nothing.
 * @param {AbortSignal} signal ends the pause
 */
export async function reconnectPause(signal) {
  await new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve(undefined);
    };
    const timer = setTimeout(end, RECONNECT_PAUSE_MS);
    signal.addEventListener("abort", end);
  });
  await new Promise((resolve) => {
    const check = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", check);
      signal.removeEventListener("abort", check);
      resolve(undefined);
    };
    document.addEventListener("visibilitychange", check);
    signal.addEventListener("abort", check);
    check();
  });
}
