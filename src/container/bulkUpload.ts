/** Uploads of containers with everything in them: many, once per account, or one at any time (containers.md 4.4). */
import { ApiError } from "../errors.ts";
import { endpoint } from "../http/endpoint.ts";
import { wholeContainersBodyBytesMax, wholeContainersElementsMax } from "../http/sizes.ts";
import { nowMicros } from "../services.ts";
import { Turns } from "../wire/turns.ts";
import {
  BulkUploadContainer,
  BulkUploadContainerFrame,
  BulkUploadContainerFrameList,
  BulkUploadContainerList,
} from "./messages.ts";
import { type IdentifiedContainer, identify, storeUpload, storeUploadOnce } from "./upload.ts";
import { requireWellFormedUpload } from "./uploadForm.ts";

/** Containers in one request (containers.md 1). */
const CONTAINERS_MAX = 100;

export const uploadRoutes = [
  endpoint(
    {
      method: "POST",
      path: "/api/container/bulk-upload",
      summary: "Stores up to 100 containers with their categories and entries, once per account.",
      limit: "create",
      tokens: { user: true },
      request: BulkUploadContainerList,
      response: BulkUploadContainerFrameList,
      status: 201,
      bodyBytesMax: wholeContainersBodyBytesMax,
      bodyElementsMax: wholeContainersElementsMax,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "INVALID_STATE", "TOO_MANY_REQUESTED"],
    },
    async ({ services, proofs, body }) => {
      if (body.containers.length === 0) throw new ApiError("INCORRECTLY_FORMED", "The list of containers is empty.");
      if (body.containers.length > CONTAINERS_MAX) {
        throw new ApiError("TOO_MANY_REQUESTED", `At most ${CONTAINERS_MAX} containers can be uploaded at once.`);
      }
      const turns = new Turns();
      const containers: IdentifiedContainer[] = [];
      for (const container of body.containers) {
        requireWellFormedUpload(container, services.config);
        containers.push(identify(container));
        await turns.step();
      }
      const modified_timestamp = nowMicros(services);
      await storeUploadOnce(services.db, proofs.user.user_id, { containers, modified_timestamp });
      return { containers: containers.map((container) => ({ ...container, modified_timestamp })) };
    },
  ),

  endpoint(
    {
      method: "POST",
      path: "/api/container/upload",
      summary: "Stores a container with its categories and entries.",
      limit: "create",
      tokens: { user: true },
      request: BulkUploadContainer,
      response: BulkUploadContainerFrame,
      status: 201,
      bodyBytesMax: wholeContainersBodyBytesMax,
      bodyElementsMax: wholeContainersElementsMax,
      errors: ["INCORRECTLY_FORMED", "INPUT_TOO_LARGE", "INVALID_STATE", "TOO_MANY_REQUESTED"],
    },
    async ({ services, body }) => {
      requireWellFormedUpload(body, services.config);
      const container = identify(body);
      const modified_timestamp = nowMicros(services);
      await storeUpload(services.db, { containers: [container], modified_timestamp });
      return { ...container, modified_timestamp };
    },
  ),
];
