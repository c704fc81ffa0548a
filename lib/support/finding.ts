/** One line of `docker-server check`. */
export interface Finding {
  /** what was looked at, such as `engine` */
  subject: string;
  /** what was found, for people */
  found: string;
  /** what to do about it; absent if all is well */
  remedy?: string | undefined;
}

/** The finding of a look that may fail: its error is told, with what to do about it. */
export async function findingOf(subject: string, look: () => Promise<Omit<Finding, "subject">>, remedy: string): Promise<Finding> {
  try {
    return { subject, ...(await look()) };
  } catch (error) {
    return { subject, found: (error as Error).message, remedy };
  }
}
