/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      severity: "error",
      comment: "Dependencies point one way.",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "capabilities-are-apart",
      severity: "error",
      comment: "Capabilities never call each other: each reads the cluster's state.",
      from: { path: "^capabilities/([^/]+)/" },
      to: { path: "^capabilities/", pathNot: "^capabilities/$1/" },
    },
    {
      name: "only-the-root-knows-capabilities",
      severity: "error",
      comment: "pepr.ts is the only composition root, and sees a capability's index alone.",
      from: { pathNot: "^capabilities/" },
      to: { path: "^capabilities/(?!.*/index\\.ts$)" },
    },
    {
      name: "lib-knows-no-capability",
      severity: "error",
      from: { path: "^lib/" },
      to: { path: "^(capabilities/|pepr\\.ts)" },
    },
    {
      name: "api-is-at-the-bottom",
      severity: "error",
      comment: "The kinds are described without knowing who uses them.",
      from: { path: "^lib/api/" },
      to: { path: "^(lib/(domain|cluster)/|capabilities/|pepr\\.ts)" },
    },
    {
      name: "domain-knows-no-io",
      severity: "error",
      comment: "The vocabulary knows no I/O.",
      from: { path: "^lib/(domain|api)/" },
      to: { path: "^lib/cluster/" },
    },
    {
      name: "decisions-do-no-io",
      severity: "error",
      comment:
        "decide and plan files, resources, the domain and the API see lib/cluster, pepr and client-node as types only. (node:net stays for isIP, which is pure.)",
      from: {
        path: "^(lib/(domain|api)/|capabilities/.*/((decide|plan|params)\\.ts$|resources/))",
      },
      to: {
        path: "(^lib/cluster/|node_modules/(pepr|@kubernetes/client-node|kubernetes-fluent-client)/|^(node:)?(fs|http|https|tls|child_process|process)$)",
        dependencyTypesNot: ["type-only"],
      },
    },
    {
      name: "io-lives-in-lib-cluster",
      severity: "error",
      comment: "The only Kubernetes I/O is lib/cluster's.",
      from: { path: "^(capabilities/|pepr\\.ts)", pathNot: "^lib/cluster/" },
      to: {
        path: "(node_modules/@kubernetes/client-node/|^(node:)?(http|https|net|tls)$)",
        dependencyTypesNot: ["type-only"],
      },
    },
    {
      name: "no-orphans",
      severity: "error",
      from: { orphan: true, pathNot: ["\\.d\\.ts$", "\\.test\\.ts$"] },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "\\.test\\.ts$" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default"],
    },
    reporterOptions: { mermaid: { minify: false } },
  },
};
