export {
  policiesController,
  type PoliciesContext,
  type PoliciesController,
  type WebhookConfiguration,
} from "./controller";
export type { ServerAddress } from "./discovery";
