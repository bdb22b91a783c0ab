package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	kubeconfigPrefix = "generic-token-kubeconfig"
	routeConfigMap   = "istio-internal-load-balancing"
	internalService  = "istio-ingressgateway-internal"
)

// router leads the Pods of control planes to the internal gateway, as Gardener's handler does.
// See https://github.com/gardener/gardener/blob/master/pkg/resourcemanager/webhook/podkubeapiserverloadbalancing/handler.go
type router struct {
	log    logr.Logger
	reader client.Reader
}

// Default adds host aliases and a network policy label to a Pod that uses the generic kubeconfig.
func (r *router) Default(ctx context.Context, pod *corev1.Pod) error {
	secret, found := genericKubeconfig(pod)
	if !found {
		return nil
	}
	r.log.Info("Pod uses generic kubeconfig", "pod", client.ObjectKeyFromObject(pod), "secretName", secret)

	route := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: pod.Namespace, Name: routeConfigMap}
	if err := r.reader.Get(ctx, key, route); apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("failed to get ConfigMap %q: %w", key, err)
	}
	if route.Data["hosts"] == "" {
		return fmt.Errorf("ConfigMap %q has no hosts", key)
	}
	hosts := strings.Split(route.Data["hosts"], ",")
	namespace := route.Data["istio-namespace"]

	service := &corev1.Service{}
	key = client.ObjectKey{Namespace: namespace, Name: internalService}
	if err := r.reader.Get(ctx, key, service); err != nil {
		return fmt.Errorf("failed to get Service %q: %w", key, err)
	}
	for _, ip := range service.Spec.ClusterIPs {
		pod.Spec.HostAliases = append(pod.Spec.HostAliases, corev1.HostAlias{IP: ip, Hostnames: hosts})
	}
	if pod.Labels == nil {
		pod.Labels = make(map[string]string)
	}
	label := fmt.Sprintf("networking.resources.gardener.cloud/to-%s-%s-tcp-%d", namespace, internalService, 9443)
	pod.Labels[label] = "allowed"
	return nil
}

// genericKubeconfig returns the name of the Secret by which a Pod mounts the generic kubeconfig.
func genericKubeconfig(pod *corev1.Pod) (string, bool) {
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret != nil && strings.HasPrefix(volume.Secret.SecretName, kubeconfigPrefix) {
			return volume.Secret.SecretName, true
		}
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.Secret != nil && strings.HasPrefix(source.Secret.Name, kubeconfigPrefix) {
				return source.Secret.Name, true
			}
		}
	}
	return "", false
}
