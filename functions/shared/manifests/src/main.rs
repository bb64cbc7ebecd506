//! Prints the manifests of a cluster.

mod arguments;

use std::io::{self, Write};
use std::process::ExitCode;

use tidegate_manifests::render;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        println!("{}", arguments::USAGE);
        return ExitCode::SUCCESS;
    }
    let rendered =
        arguments::parse(arguments).and_then(|settings| render(&settings).map_err(|error| error.to_string()));
    match rendered {
        Ok(manifests) => match io::stdout().lock().write_all(manifests.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error.to_string()),
        },
        Err(sentence) => complain(&format!("{sentence} (--help says more)")),
    }
}

fn complain(sentence: &str) -> ExitCode {
    eprintln!("tidegate-manifests: {sentence}");
    ExitCode::from(2)
}
