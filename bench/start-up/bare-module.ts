import { PeprModule } from "pepr";

// The least that is a Pepr module: what Pepr itself takes to start, with nothing of fairlead's.
const module = new PeprModule(
  {
    description: "no capability",
    pepr: {
      uuid: "bare",
      onError: "reject",
      webhookTimeout: 5,
      alwaysIgnore: { namespaces: [] },
    },
  },
  [],
  { deferStart: true },
);
module.start(Number(process.env.FAIRLEAD_PORT));
