import { ApiError, type ErrorType } from "../../src/errors.ts";

/** The refusal that decoding ends in. @throws whatever else it ends in, and an Error when it ends well */
export function refusalOf(decode: () => unknown): { type: ErrorType; status: number; message: string } {
  try {
    decode();
  } catch (error) {
    if (error instanceof ApiError) return { type: error.type, status: error.status, message: error.message };
    throw error;
  }
  throw new Error("the body was not refused");
}
