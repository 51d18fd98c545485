/** Public face of the object stores. */
export {};
