/** Plain JSON, of which the API's description is made. Members that are undefined are left out when it is written. */
export interface JsonObject {
  readonly [name: string]: Json;
}
export type Json = string | number | boolean | null | undefined | readonly Json[] | JsonObject;
