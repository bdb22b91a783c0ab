export { webhookController, type WebhookController } from "./controller";
