//! The adapter against a real API server with its real controllers: what a scripted server would only repeat.
//!
//! Needs `KUBECONFIG` of an administrator of a cluster that may be written to, such as the local world's.

mod login;
mod manifests;
mod masters;
mod nodes;
mod objects;
mod pods;
mod rate;
mod volumes;
