//go:build node

package main

import (
	"github.com/spf13/cobra"
	genericapiserver "k8s.io/apiserver/pkg/server"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func init() {
	commands["kube-proxy"] = proxy.NewProxyCommand
	commands["kube-scheduler"] = func() *cobra.Command { return scheduler.NewSchedulerCommand() }
	commands["kubelet"] = func() *cobra.Command { return kubelet.NewKubeletCommand(genericapiserver.SetupSignalContext()) }
}
