/** Sets the owner of leased engines for the workers: they stay up until the end of this process. */
export default function globalSetup(): void {
  process.env.TEST_ENGINE_OWNER = String(process.pid);
}
