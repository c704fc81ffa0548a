export type Body = object | string | Buffer | AsyncIterable<Buffer>;

/** An answer to a request that isn't simply an object with status 200. */
export class Reply {
  constructor(
    readonly status: number,
    /** objects go out as JSON, text as text/plain unless a header says otherwise, what is iterated is streamed */
    readonly body: Body | null,
    readonly headers: Record<string, string> = {},
  ) {}
}
