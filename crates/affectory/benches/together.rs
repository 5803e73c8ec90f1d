//! What does it cost to train one network by several processes, beside one process that does the same work?
//!
//! `cargo bench -p affectory --bench together -- [RECIPE] [FACES]` (affectory-s, 3,000 drawn faces), everything on this machine:
//! one process alone, then two and four that meet over loopback, each with one thread, so that two cores can be used by two;
//! and one process with batches as a whole, to see what dealing them costs. Two epochs each; the weights must come out the
//! same to the last bit, but for the last.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const PARTS: usize = 4;
const EPOCHS: &str = "2";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let recipe = args.iter().find(|arg| arg.parse::<u32>().is_err()).map_or("affectory-s", String::as_str);
    let n_faces: u32 = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(3_000);
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    prepare(folder.path(), &project, n_faces);
    println!("{recipe}, {n_faces} drawn faces, {EPOCHS} epochs, one thread a process\n");
    println!("| processes | batch | seconds | beside one process |\n|---:|---|---:|---:|");
    let mut alone = None;
    for (n_processes, n_parts) in [(1, PARTS), (2, PARTS), (4, PARTS), (1, 1)] {
        let run = format!("p{n_processes}-{n_parts}");
        let began = Instant::now();
        let children: Vec<Child> =
            (0..n_processes).map(|number| train(&project, (recipe, &run), (number, n_processes), n_parts)).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let seconds = began.elapsed().as_secs_f64();
        let beside = alone.get_or_insert(seconds).to_owned() / seconds;
        let batch = if n_parts == 1 { "whole".to_owned() } else { format!("{n_parts} parts") };
        println!("| {n_processes} | {batch} | {seconds:.1} | {beside:.2} |");
        let model = |run: &str| std::fs::read(project.join("runs").join(run).join("model.safetensors")).unwrap();
        assert!(n_parts == 1 || model(&run) == model(&format!("p1-{PARTS}")), "other weights");
    }
}

fn prepare(folder: &Path, project: &Path, n_faces: u32) {
    let faces = folder.join("faces");
    affectory_synthetic::write_folder(&faces, n_faces, 1, 64).unwrap();
    for args in [&["init"][..], &["import", "folder"], &["release", "build", "r"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
        match args {
            ["init"] => command.arg("init").arg(project),
            ["import", ..] => command.arg("--project").arg(project).args(args).arg(&faces),
            _ => command.arg("--project").arg(project).args(args),
        };
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn train(project: &Path, (recipe, run): (&str, &str), (number, n_processes): (usize, usize), n_parts: usize) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.arg("--project").arg(project).args(["train", "--release", "r", "--recipe", recipe, "--run", run]);
    command.args(["--epochs", EPOCHS, "--set", &format!("batch_parts={n_parts}")]).env("RAYON_NUM_THREADS", "1");
    if n_processes > 1 {
        let seat = ["--processes".to_owned(), n_processes.to_string(), "--process".to_owned(), number.to_string()];
        command.args(seat).args(["--meet", "127.0.0.1:17701"]).env("AFFECTORY_TRAIN_TOKEN", "a secret of the bench");
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}
