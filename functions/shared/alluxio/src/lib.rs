//! Alluxio masters over gRPC and workers over HTTP.
