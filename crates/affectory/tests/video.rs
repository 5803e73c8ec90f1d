//! What does a user meet who gives `predict` a video, a stream, or something that only looks like one?
//!
//! Clips are made by ffmpeg from the portrait inside the program; without ffmpeg these tests say SKIPPED.

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn affectory() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").env_remove("AFFECTORY_FFMPEG").stdin(Stdio::null());
    command
}

fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    line.lines().find(|line| line.starts_with("error: ")).unwrap().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether there is an ffmpeg to make clips with.
fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok();
    if !found {
        println!("SKIPPED: ffmpeg is not installed (apt-get install ffmpeg)");
    }
    found
}

fn ffmpeg(folder: &Path, args: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-y", "-nostdin", "-loglevel", "error"]).args(args).current_dir(folder);
    assert!(command.stdin(Stdio::null()).status().unwrap().success(), "{args:?}");
}

fn portrait() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/astronaut.png")
}

/// Portraits over grey at 25 frames a second, each at a place that depends on the time t.
fn clip(folder: &Path, name: &str, seconds: f64, places: &[(&str, &str)]) -> PathBuf {
    let mut graph = format!("color=c=0x707070:s=640x360:r=25:d={seconds}[0v]");
    for (at, (x, y)) in places.iter().enumerate() {
        let mirrored = if at % 2 == 1 { ",hflip" } else { "" };
        graph += &format!(
            ";[0:v]crop=260:260:100:0{mirrored}[face{at}];[{at}v][face{at}]overlay=x='{x}':y='{y}':shortest=1[{}v]",
            at + 1
        );
    }
    let out = format!("[{}v]", places.len());
    let portrait = portrait();
    let input = ["-loop", "1", "-framerate", "25", "-i", text(&portrait), "-filter_complex", &graph, "-map", &out];
    let time = seconds.to_string();
    ffmpeg(folder, &[&input[..], &["-t", &time, "-pix_fmt", "yuv420p", name]].concat());
    folder.join(name)
}

fn predict(args: &[&str]) -> Output {
    affectory().args(["--json", "predict"]).args(args).output().unwrap()
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

#[test]
fn a_person_keeps_the_number_while_moving_and_a_cut_ends_it() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "pan.mkv", 3.0, &[("10+110*t", "40+20*sin(6*t)")]);
    clip(folder.path(), "away.mkv", 1.0, &[]);
    std::fs::write(folder.path().join("parts"), "file pan.mkv\nfile away.mkv\nfile pan.mkv\n").unwrap();
    let black =
        ["-f", "concat", "-i", "parts", "-vf", "drawbox=c=black:t=fill:enable='gte(t,2.99)*lt(t,3.99)'", "all.mkv"];
    ffmpeg(folder.path(), &black);
    let (clip, csv) = (folder.path().join("all.mkv"), folder.path().join("all.csv"));
    let report = done(&predict(&[text(&clip), "--csv", text(&csv)]));
    let video = &report["videos"][0];
    assert_eq!((&video["width"], &video["height"], &video["error"]), (&640.into(), &360.into(), &Value::Null));
    let faces = video["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 2, "{video:#}");
    assert_eq!([&faces[0]["face"], &faces[1]["face"]], [1, 2]);
    assert_eq!(faces[0]["is_proxy"], true);
    assert!(faces[0]["expressions"]["happy"].as_f64().unwrap() > 0.9, "{video:#}");

    // No frame is without a row, none in which she is seen without her.
    let rows = rows(&csv);
    let frames: BTreeSet<u64> = rows.iter().map(|row| row["frame"].parse().unwrap()).collect();
    assert_eq!(frames.len() as u64, video["frames"].as_u64().unwrap());
    for row in &rows {
        let time: f64 = row["time"].parse().unwrap();
        let expected = if time < 2.99 {
            "1"
        } else if time < 3.99 {
            ""
        } else {
            "2"
        };
        assert_eq!(row["face"], expected, "at {time}");
        assert_eq!(row["face"].is_empty(), row["expression"].is_empty());
    }
    let x = |row: &BTreeMap<String, String>| row["x"].parse::<f64>().unwrap();
    let moved = x(&rows[70]) - x(&rows[0]);
    assert!((moved - 110.0 * 2.8).abs() < 15.0, "{moved}");
}

#[test]
fn two_people_have_two_numbers_and_a_film_and_a_plot() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path(), "two.mp4", 2.0, &[("10+20*t", "60"), ("360-20*t", "50")]);
    let overlay = folder.path().join("overlay");
    let report = done(&predict(&[text(&clip), "--overlay", text(&overlay)]));
    assert_eq!(report["videos"][0]["faces"].as_array().unwrap().len(), 2, "{report:#}");
    let mut names: Vec<_> = std::fs::read_dir(&overlay).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["0001-two.mp4", "0001-two.svg"]);
    assert!(std::fs::read_to_string(overlay.join("0001-two.svg")).unwrap().contains("(proxy)"));
    let film = done(&predict(&[text(&overlay.join("0001-two.mp4"))]));
    assert_eq!(film["videos"][0]["frames"], 50);
}

#[test]
fn time_stamps_are_the_videos_own_also_when_its_rate_changes() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "even.mkv", 2.0, &[]);
    ffmpeg(folder.path(), &["-i", "even.mkv", "-vf", "setpts=N*N/TB/250+3/TB", "-fps_mode", "passthrough", "odd.mkv"]);
    let (clip, csv) = (folder.path().join("odd.mkv"), folder.path().join("odd.csv"));
    done(&predict(&[text(&clip), "--csv", text(&csv)]));
    let probe = ["-v", "error", "-of", "csv=p=0", "-show_entries", "frame=pts_time", text(&clip)];
    let truth = Command::new("ffprobe").args(probe).output().unwrap();
    let truth: Vec<f64> =
        String::from_utf8(truth.stdout).unwrap().lines().filter_map(|l| l.trim_end_matches(',').parse().ok()).collect();
    let read: Vec<f64> = rows(&csv).iter().map(|row| row["time"].parse().unwrap()).collect();
    assert_eq!((read.len(), truth.len()), (50, 50));
    let truth_start = truth[0];
    // ffmpeg shows the first frame of a file at its beginning.
    for (read, truth) in read.iter().zip(&truth) {
        assert!((read - (truth - truth_start)).abs() < 2e-3, "{read} for {truth}");
    }
}

#[test]
fn csv_and_parquet_say_the_same() {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path(), "c.mp4", 1.0, &[("if(lt(t,0.5),150,-400)", "60")]);
    let (csv, parquet) = (folder.path().join("c.csv"), folder.path().join("c.parquet"));
    done(&predict(&[text(&clip), "--csv", text(&csv), "--parquet", text(&parquet)]));
    let reader = SerializedFileReader::new(std::fs::File::open(&parquet).unwrap()).unwrap();
    let mut n_rows = 0;
    for (row, text) in reader.get_row_iter(None).unwrap().zip(rows(&csv)) {
        for (name, field) in row.unwrap().get_column_iter() {
            use parquet::record::Field;
            let shown = match field {
                Field::Null => String::new(),
                Field::Str(text) => text.clone(),
                Field::Long(int) => int.to_string(),
                Field::Float(float) => float.to_string(),
                Field::Double(double) => double.to_string(),
                Field::Bool(bool) => bool.to_string(),
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(shown, text[name], "{name}");
        }
        n_rows += 1;
    }
    assert_eq!(n_rows, 25);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(names.collect::<Vec<_>>().iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn a_turned_clip_is_upright_and_hostile_names_are_names() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "a.mp4", 0.4, &[("150", "60")]);
    // The name is an option, a protocol, a pattern, a shell command and a terminal's escape at once.
    let name = "-i http:x|%03d $(touch owned)\u{1b}[31m\n.mp4";
    ffmpeg(folder.path(), &["-i", "a.mp4", "-c", "copy", "-metadata:s:v:0", "rotate=90", "turned.mp4"]);
    std::fs::rename(folder.path().join("turned.mp4"), folder.path().join(name)).unwrap();
    let output = affectory().current_dir(folder.path()).args(["--json", "predict", "--", name]).output().unwrap();
    let video = &done(&output)["videos"][0];
    assert_eq!((&video["width"], &video["height"], &video["frames"]), (&360.into(), &640.into(), &10.into()));
    let output = affectory().current_dir(folder.path()).args(["predict", "--", name]).output().unwrap();
    assert!(!output.stdout.contains(&0x1b) && !folder.path().join("owned").exists());
}

#[test]
fn what_is_no_video_says_why_and_does_not_stop_the_rest() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    clip(folder.path(), "good.mkv", 3.0, &[("10+100*t", "60+20*sin(9*t)")]);
    let bytes = std::fs::read(path("good.mkv")).unwrap();
    std::fs::write(path("cut.mkv"), &bytes[..bytes.len() * 2 / 3]).unwrap();
    std::fs::write(path("text.mp4"), "no video").unwrap();
    std::fs::write(path("empty.mp4"), "").unwrap();
    std::fs::write(path("list.mp4"), "ffconcat version 1.0\nfile good.mkv\n").unwrap();
    std::fs::write(path("hls.ts"), "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:2,\ngood.mkv\n#EXT-X-ENDLIST\n").unwrap();
    ffmpeg(folder.path(), &["-f", "lavfi", "-i", "sine=d=1", "sound.avi"]);
    std::fs::copy(portrait(), path("picture.mp4")).unwrap();
    let report = done(&predict(&[text(folder.path())]));
    // A picture is read as one, whatever it is called.
    assert_eq!(report["images"][0]["faces"].as_array().unwrap().len(), 1);
    let of = |name: &str| {
        let videos = report["videos"].as_array().unwrap();
        videos.iter().find(|video| video["path"].as_str().unwrap().ends_with(name)).unwrap().clone()
    };
    assert_eq!(of("good.mkv")["error"], Value::Null);
    let cut = of("cut.mkv");
    assert!(cut["frames"].as_u64().unwrap() > 3 && cut["error"].as_str().unwrap().contains("not the whole"), "{cut:#}");
    for name in ["text.mp4", "empty.mp4", "list.mp4", "hls.ts", "sound.avi"] {
        let video = of(name);
        assert_eq!(video["frames"], 0, "{video:#}");
        assert!(video["error"].as_str().unwrap().contains("cannot read it as a video"), "{video:#}");
    }
    for name in ["list.mp4", "hls.ts"] {
        assert!(of(name)["error"].as_str().unwrap().contains("a playlist"), "{:#}", of(name));
    }
    assert!(refused(&predict(&[text(&path("text.mp4"))])).contains("none of the 1 files"));
    let both = predict(&[text(&portrait()), text(&path("good.mkv")), "--csv", "x.csv"]);
    assert!(refused(&both).contains("different tables"));
    assert!(refused(&predict(&[text(&portrait()), "--parquet", "x.parquet"])).contains("--parquet is for videos"));
}

#[test]
fn without_ffmpeg_a_line_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    std::fs::write(&clip, "....ftypisom").unwrap();
    let output = affectory().env("AFFECTORY_FFMPEG", "/no/such/ffmpeg").arg("predict").arg(&clip).output().unwrap();
    let line = refused(&output);
    assert!(line.contains("apt-get install ffmpeg") && line.contains("AFFECTORY_FFMPEG"), "{line}");
    let output = affectory().env("AFFECTORY_FFMPEG", "/bin/true").arg("predict").arg(&clip).output().unwrap();
    assert!(refused(&output).contains("/bin/true"));
}

#[cfg(unix)]
#[test]
fn an_ffmpeg_that_is_killed_leaves_what_was_read() {
    use std::os::unix::fs::PermissionsExt as _;
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path(), "c.mkv", 1.0, &[("150", "60")]);
    let script = folder.path().join("ffmpeg");
    // Three frames and a half, then death.
    let text_of =
        "#!/bin/sh\n[ \"$1\" = -version ] && exec ffmpeg -version\nffmpeg \"$@\" | head -c 2419200\nkill -9 $$\n";
    std::fs::write(&script, text_of).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = affectory().env("AFFECTORY_FFMPEG", &script).args(["--json", "predict"]).arg(&clip).output().unwrap();
    let video = &done(&output)["videos"][0];
    assert_eq!(video["frames"], 3, "{video:#}");
    assert!(video["error"].as_str().unwrap().contains("not the whole video"), "{video:#}");
}

#[cfg(unix)]
#[test]
fn a_stream_is_read_as_it_comes_and_a_stop_keeps_what_was_read() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path(), "c.ts", 4.0, &[("150", "60")]);
    let overlay = folder.path().join("overlay");
    let mut child = affectory()
        .args(["predict", "-", "--csv", "-", "--overlay", text(&overlay)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&std::fs::read(&clip).unwrap()).unwrap();
    // The stream stays open: rows come nevertheless.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("video,frame,time,face,x,y,"));
    for frame in 0..10 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with(&format!("-,{frame},")), "{line}");
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(refused(&output).contains("what was read until then is kept"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 face"));
    let film = done(&predict(&[text(&overlay.join("0001-stdin.mp4"))]));
    assert!(film["videos"][0]["frames"].as_u64().unwrap() >= 10);
    drop(stdin);
}

#[test]
fn the_scenes_have_as_many_people_as_one_sees() {
    #[expect(clippy::disallowed_methods, reason = "a test asks where its data are")]
    let Some(data) = std::env::var_os("AFFECTORY_DATA") else {
        println!("SKIPPED: AFFECTORY_DATA names no folder with scenes/*.mp4");
        return;
    };
    if !has_ffmpeg() {
        return;
    }
    let scenes = Path::new(&data).join("scenes");
    let people = |name: &str| {
        let report = done(&predict(&[text(&scenes.join(name))]));
        report["videos"][0]["faces"].as_array().unwrap().clone()
    };
    let single = people("single_face.mp4");
    assert_eq!((single.len(), &single[0]["frames"]), (1, &72.into()));
    assert_eq!(people("no_face.mp4").len(), 0);
    let comes_and_goes = people("face_noface.mov");
    assert_eq!(comes_and_goes.len(), 1);
    assert!(comes_and_goes[0]["last"].as_f64().unwrap() < 2.6);
}
