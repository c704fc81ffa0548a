/** Tells the workers for which process leased engines stay up. */
export default function globalSetup(): void {
  process.env.TEST_ENGINE_OWNER = String(process.pid);
}
