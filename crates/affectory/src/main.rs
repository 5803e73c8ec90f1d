//! The binary: parse, start logging, call one room, print. No logic lives here.

mod cli;
mod commands;
mod environment;
mod failure;
mod terminal;
mod traces;

use std::process::ExitCode;

fn main() -> ExitCode {
    let (cli, name) = match cli::parse() {
        Ok(parsed) => parsed,
        Err(error) => return failure::usage(&error),
    };
    if matches!(cli.command, cli::Command::CheckAgreement) {
        return commands::check_agreement();
    }
    let (traces, way) = match traces::from_environment() {
        Ok(asked) => asked.unzip(),
        Err(error) => return failure::report(&error),
    };
    terminal::start_logging(cli.verbose, way);
    terminal::keep_quiet_over_pictures();
    environment::raise_descriptor_limit();
    affectory_catalog::name_this_process(&name);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&anyhow::Error::new(error).context("failed to start")),
    };
    let outcome = runtime.block_on(traces::told(traces, commands::run(cli)));
    // A stage that was stopped may still have a reading thread in flight; it holds nothing that needs saving.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
