// Peer is what fairlead's admission is measured against: a minimal controller-runtime webhook that does what
// Gardener's handler podkubeapiserverloadbalancing does, with a cached client, as gardener-resource-manager runs it.
package main

import (
	"flag"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const webhookPath = "/webhooks/pod-kube-apiserver-load-balancing"

func main() {
	// controller-runtime itself has a flag --kubeconfig.
	port := flag.Int("port", 0, "where the webhook is served, on 127.0.0.1")
	certificates := flag.String("cert-dir", "", "the folder of tls.crt and tls.key")
	flag.Parse()

	// JSON from level info on, which is Gardener's default.
	log := zap.New(zap.UseDevMode(false))
	ctrl.SetLogger(log)
	if err := run(*port, *certificates); err != nil {
		log.Error(err, "the peer ended")
		os.Exit(1)
	}
}

func run(port int, certificates string) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:        scheme.Scheme,
		Metrics:       metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: certificates}),
	})
	if err != nil {
		return err
	}
	handler := &router{
		log:    manager.GetLogger().WithName("webhook").WithName("pod-kube-apiserver-load-balancing"),
		reader: manager.GetClient(),
	}
	defaulter := admission.WithDefaulter[*corev1.Pod](manager.GetScheme(), handler).WithRecoverPanic(true)
	manager.GetWebhookServer().Register(webhookPath, defaulter)
	return manager.Start(ctrl.SetupSignalHandler())
}
