// One program for a whole control plane and metrics-server: etcd, the API server, the scheduler, the controllers and kubectl
// share most of their code, so one binary is a third of the size of five. It does what the name says that it is started under.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlerrors "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			// kubectl's own ending: prints the error as its users know it, and exits with the status of a plugin or command.
			kubectlerrors.CheckErr(err)
		}
	case "metrics-server":
		os.Exit(cli.Run(metricsServer()))
	default:
		fmt.Fprintf(os.Stderr, "started as %q: link this program to etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl or metrics-server\n", name)
		os.Exit(2)
	}
}
