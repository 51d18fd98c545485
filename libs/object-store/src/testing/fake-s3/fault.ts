/** What the fake server refuses a request with: a status and an S3 error code. */
export class S3Fault extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'S3Fault';
  }
}
