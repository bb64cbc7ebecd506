package main

import (
	"errors"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/server"
	definitions "k8s.io/kubernetes/pkg/generated/openapi"
	"sigs.k8s.io/metrics-server/cmd/metrics-server/app/options"
	"sigs.k8s.io/metrics-server/pkg/api"
)

// metricsServer does what metrics-server's own command does.
// https://github.com/kubernetes-sigs/metrics-server/blob/v0.8.0/cmd/metrics-server/app/start.go
func metricsServer() *cobra.Command {
	given := options.NewOptions()
	command := &cobra.Command{
		Use:  "metrics-server",
		RunE: func(*cobra.Command, []string) error { return serve(given) },
	}
	for _, flags := range given.Flags().FlagSets {
		command.Flags().AddFlagSet(flags)
	}
	return command
}

func serve(given *options.Options) error {
	if err := errors.Join(given.Validate()...); err != nil {
		return err
	}
	config, err := given.ServerConfig()
	if err != nil {
		return err
	}
	// Its own description of its types was generated for older libraries, which name them in another way.
	names := openapi.NewDefinitionNamer(api.Scheme)
	config.Apiserver.OpenAPIConfig = server.DefaultOpenAPIConfig(definitions.GetOpenAPIDefinitions, names)
	config.Apiserver.OpenAPIV3Config = server.DefaultOpenAPIV3Config(definitions.GetOpenAPIDefinitions, names)
	completed, err := config.Complete()
	if err != nil {
		return err
	}
	return completed.RunUntil(server.SetupSignalHandler())
}
