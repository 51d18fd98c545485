/** Public face of the backup formats. */
export {};
