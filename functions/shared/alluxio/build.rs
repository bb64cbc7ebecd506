//! Compiles the protocol files in pure Rust: no protoc is needed on the building machine.

use std::io;

const FILES: [&str; 6] = [
    "block_master.proto",
    "block_worker.proto",
    "file_system_master.proto",
    "meta_master.proto",
    "sasl_server.proto",
    "version.proto",
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"]).map_err(io::Error::other)?;
    tonic_prost_build::configure()
        .build_server(false)
        .include_file("alluxio.rs")
        .compile_fds(descriptors)
}
