/** Program of the maintenance service. */
export {};
