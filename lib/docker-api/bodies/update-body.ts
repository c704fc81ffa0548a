import { type BodyContext, bodyReader, type Fields, type ValueOf } from "./body-table";
import { RESOURCES, restartPolicy } from "./host-config";

const UPDATE = { ...RESOURCES, RestartPolicy: restartPolicy } satisfies Fields;
const readUpdate = bodyReader(UPDATE);

export type UpdateBody = ValueOf<typeof UPDATE>;

/**
 * Reads the body of `POST /containers/{id}/update`.
 * @throws AppError INVALID_BODY, INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseUpdateBody(raw: Buffer | undefined, context: BodyContext): UpdateBody {
  return readUpdate(raw, context);
}
