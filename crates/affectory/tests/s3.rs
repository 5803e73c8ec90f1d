//! Does the whole way walk with objects on S3 as it does on a disk, and what does a user meet whose bucket does not work?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

#[path = "../../catalog/tests/catalog/buckets.rs"]
#[expect(dead_code, reason = "the catalogue's stories use more of it")]
mod buckets;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use affectory_catalog::{
    Account, Applicant, DeliveryRow, ImportItem, LinkWord, NewAccount, NewFace, NewImage, NewRelease, NewRequest,
    NewSighting, Project, ProjectConfig, ReleaseItemRow, RequestChange, Role, Secrets,
};
use affectory_core::{BoundingBox, Expression, FaceId, GrantId, PerceptualHash, Sha256Hex, Split};
use affectory_portal::delivery::{Layout, build, manifest_path, package_folder};
use affectory_portal::{SETTINGS_FILE, TEMPLATE};
use affectory_release::ReleaseItem;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use buckets::{Fault, S3};

fn affectory(variables: &[(String, String)], args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env_remove("AFFECTORY_LOG").stdin(Stdio::null());
    command.envs(variables.iter().cloned()).args(args);
    command
}

fn run(variables: &[(String, String)], args: &[&str]) -> Output {
    affectory(variables, args).output().unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line on stderr, which holds no secret.
fn refused(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), line.trim_end().lines().count()), (Some(1), 1), "{line}");
    assert!(!line.contains("hush"), "{line}");
    line
}

/// A folder of drawn faces, one sub-folder a label.
fn drawn_faces(folder: &Path, n_faces: u32) -> PathBuf {
    let root = folder.join("faces");
    affectory_synthetic::write_folder(&root, n_faces, 2, 48).unwrap();
    let portrait = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/astronaut.png");
    std::fs::copy(portrait, root.join("happy/astronaut.png")).unwrap();
    root
}

fn objects_in(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                names.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    names.retain(|name| name.len() == 64);
    names.sort();
    names
}

#[test]
fn the_whole_way_on_a_bucket_ends_as_on_a_disk_with_a_server_that_is_away_at_times_and_kills() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().unwrap());
    let faces = drawn_faces(folder.path(), 200);
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    let place = s3.place("lab/affect");
    done(&run(&[], &["init", near.to_str().unwrap()]));
    done(&run(&s3.variables(), &["init", far.to_str().unwrap(), "--objects", &place]));
    assert!(!far.join("objects").exists());
    let doctor = done(&run(&s3.variables(), &["--project", far.to_str().unwrap(), "doctor"]));
    assert!(doctor.contains(&format!("objects    {place}, can be written, read and removed")), "{doctor}");

    let export = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (project, variables, name) in [(&near, vec![], "near-export"), (&far, s3.variables(), "far-export")] {
        let step = |args: &[&str]| done(&run(&variables, &[&["--project", project.to_str().unwrap()], args].concat()));
        if project == &far {
            // Killed three times, then a server that is away for two seconds.
            for after in [40, 120, 250] {
                let args = ["--project", far.to_str().unwrap(), "import", "folder", faces.to_str().unwrap()];
                let mut child = affectory(&variables, &args).stderr(Stdio::null()).spawn().unwrap();
                std::thread::sleep(Duration::from_millis(after));
                child.kill().unwrap();
                child.wait().unwrap();
            }
            s3.set(Fault::Busy(Instant::now() + Duration::from_secs(2)));
        }
        step(&["import", "folder", faces.to_str().unwrap()]);
        if project == &far {
            s3.set(Fault::Busy(Instant::now() + Duration::from_secs(2)));
        }
        step(&["faces", "run"]);
        step(&["release", "build", "one"]);
        step(&["release", "verify", "one"]);
        step(&["release", "export", "one", "--format", "folder", "--out", &export(name)]);
    }
    assert_eq!(objects_in(&s3.file("lab/affect")), objects_in(&near.join("objects")));
    let manifest = |project: &Path| std::fs::read_to_string(project.join("releases/one/manifest.csv")).unwrap();
    assert_eq!(manifest(&near), manifest(&far));
}

/// Whoever trains from packs asks the bucket for some large files and for no image by itself, and ends as on a disk.
#[test]
fn a_packed_release_is_trained_from_large_files_and_a_withdrawal_changes_one_of_them() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().unwrap());
    let faces = drawn_faces(folder.path(), 150);
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    let place = s3.place("lab/packed");
    let tiny = ["widths=[4]", "blocks=[1]", "input_side=24", "batch_size=16", "batch_parts=2"];
    let tiny: Vec<&str> = tiny.iter().flat_map(|knob| ["--set", *knob]).collect();
    let train = |run: &'static str| {
        [&["train", "--release", "r", "--epochs", "2", "--packed", "--run", run], &tiny[..]].concat()
    };
    let at = |project: &Path, args: &[&str]| {
        let variables = if project == near { Vec::new() } else { s3.variables() };
        run(&variables, &[&["--project", project.to_str().unwrap()], args].concat())
    };
    done(&run(&[], &["init", near.to_str().unwrap()]));
    done(&run(&s3.variables(), &["init", far.to_str().unwrap(), "--objects", &place]));
    for project in [&near, &far] {
        done(&at(project, &["import", "folder", faces.to_str().unwrap()]));
        done(&at(project, &["release", "build", "r"]));
        assert!(refused(&at(project, &train("one"))).contains("run `affectory release pack r`"));
        let told = done(&at(project, &["--json", "release", "pack", "r", "--images-per-pack", "20"]));
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert!(told["n_packs"].as_u64() >= Some(7) && told["n_written"] == told["n_packs"], "{told}");
        assert!(
            refused(&at(project, &["release", "pack", "r", "--images-per-pack", "30"])).contains("20 images a pack")
        );
    }
    let n_before = s3.asked().len();
    done(&at(&far, &train("one")));
    let asked = s3.asked().split_off(n_before);
    assert!(asked.iter().any(|line| line.contains("packs/r/train-00000.")), "{asked:?}");
    assert!(asked.iter().all(|line| !line.contains("GET") || line.contains("packs/")), "{asked:?}");
    assert!(asked.len() < 60, "{} requests for 151 images", asked.len());
    done(&at(&near, &train("one")));
    let model =
        |project: &Path, run: &str| std::fs::read(project.join("runs").join(run).join("model.safetensors")).unwrap();
    assert!(model(&near, "one") == model(&far, "one"));

    let manifest = std::fs::read_to_string(far.join("releases/r/manifest.csv")).unwrap();
    let of_training = manifest.lines().find(|line| line.contains(",train,")).unwrap();
    let image = of_training.split(',').nth(1).unwrap();
    done(&at(&far, &["release", "withdraw", image, "--reason", "asked for"]));
    assert!(refused(&at(&far, &train("two"))).contains("not as it is now"));
    // A machine that shares the catalogue and the bucket, and has no release of its own: the manifest is in the bucket.
    std::fs::remove_dir_all(far.join("releases/r")).unwrap();
    // Somebody was killed between writing a pack and recording it.
    let folder = s3.file("lab/packed/packs/r");
    std::fs::write(folder.join("train-00000.0123456789abcdef.tar"), image).unwrap();
    let told: serde_json::Value = serde_json::from_str(&done(&at(&far, &["--json", "release", "pack", "r"]))).unwrap();
    assert_eq!(told["n_written"], 1);
    done(&at(&far, &train("two")));
    let packs = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(image);
    // The manifest, which never changes, names it still.
    let mut packs = packs.filter(|path| path.extension().is_some_and(|extension| extension == "tar"));
    assert!(!packs.any(holds), "a withdrawn image is in no pack");
}

#[test]
fn a_user_whose_bucket_does_not_work_reads_one_line_without_a_secret() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let place = s3.place("x");
    let line = refused(&run(&[], &["init", &path("a"), "--objects", &place]));
    assert!(line.contains("AWS_ACCESS_KEY_ID"), "{line}");
    let wrong = s3.variables_with("AKIATEST", "hush");
    let line = refused(&run(&wrong, &["init", &path("b"), "--objects", &place]));
    assert!(line.contains("SignatureDoesNotMatch"), "{line}");
    let line = refused(&run(&s3.variables(), &["init", &path("c"), "--objects", "s3://nowhere/x"]));
    assert!(line.contains("no bucket"), "{line}");
    let line = refused(&run(&s3.variables(), &["init", &path("d"), "--objects", "s3://AKIA:hush@faces/x"]));
    assert!(line.contains("environment"), "{line}");
    assert!(["a", "b", "c", "d"].iter().all(|name| !folder.path().join(name).join("affectory.toml").exists()));

    done(&run(&s3.variables(), &["init", &path("e"), "--objects", &place]));
    let line = refused(&run(&s3.variables(), &["--project", &path("e"), "backup", &path("copy")]));
    assert!(line.contains("docs/storage.md"), "{line}");
    let doctor = done(&run(&wrong, &["--project", &path("e"), "doctor"]));
    assert!(doctor.contains("FAILS: ") && doctor.contains("refuses the key") && !doctor.contains("hush"), "{doctor}");
}

const TOKEN: &str = "affectory_0000000000000000000000000000000000000000000000000000000000000000";

fn sha256(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(bytes).into())
}

/// A project on a bucket with a release of noise, its package, and two grants, whose archives are delivered from the
/// bucket; the layout of the first one's, and a picture that is in both.
async fn granted(root: &Path, s3: &S3) -> (Project, Account, [GrantId; 2], Layout, Sha256Hex) {
    let config = ProjectConfig { objects: s3.place("lab"), ..ProjectConfig::default() };
    let secrets = Secrets { s3: s3.access(20), ..Secrets::default() };
    let project = Project::init_with(root, config, &secrets).await.unwrap();
    let catalog = &project.catalog;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut items = Vec::new();
    for _ in 0..40 {
        let mut bytes = vec![0; random.random_range(400_000..600_000)];
        random.fill_bytes(&mut bytes);
        let image_sha256 = project.store.put(bytes.into()).await.unwrap();
        items.push(ReleaseItem {
            item: format!("{}-0", &image_sha256.as_str()[..16]),
            image_sha256,
            crop_sha256: None,
            phash: PerceptualHash(0),
            format: "jpeg".into(),
            width: 425,
            height: 425,
            bounding_box: BoundingBox::whole(425, 425),
            landmarks: None,
            expression: Expression::Happy,
            valence: None,
            arousal: None,
            is_proxy: false,
            votes: [0; 11],
            agreement: None,
            split: Split::Train,
            group: 0,
            source: "s".into(),
            path: String::new(),
            page_url: None,
            license: None,
        });
    }
    let new = NewRelease { name: "v1".into(), seed: 1, labels: "happy,sad".into(), parameters: "{}".into() };
    let picture = items[0].image_sha256.clone();
    let image = NewImage {
        sha256: picture.clone(),
        phash: PerceptualHash(0),
        width: 425,
        height: 425,
        format: "jpeg".into(),
        size_bytes: 1,
    };
    let sighting =
        NewSighting { source: "s".into(), path: "1".into(), page_url: None, license: None, given_split: None };
    let face = NewFace { bounding_box: BoundingBox::whole(425, 425), landmarks: None, annotations: vec![] };
    catalog.record_import(&[ImportItem { image, sighting, faces: vec![face] }], 1).await.unwrap();
    let face = catalog.list_labelled_faces(FaceId(0), 1).await.unwrap().remove(0).face;
    let row =
        ReleaseItemRow { item_idx: 0, face_id: face.id, split: Split::Train, expression: Some(Expression::Happy) };
    let release = catalog.record_release(&new, &[row], async || sha256(b"no manifest is read here"), 1).await.unwrap();
    let word = |text: &str| LinkWord { sha256: sha256(text.as_bytes()), expires_ms: i64::MAX };
    let mut lead = None;
    for n in ["1", "2"] {
        let email = format!("{n}@b.c");
        let account = NewAccount { email: &email, name: "A", role: Role::Lead, language: "en", password_hash: "x" };
        let account = catalog.insert_account(&account, "test", 1).await.unwrap();
        let applicant = Applicant { name: "A".into(), email, ..Applicant::default() };
        let new = NewRequest { release_id: release.id, applicant: applicant.clone(), student: None, link: word(n) };
        let request = catalog.insert_request(&new, &[], 1).await.unwrap();
        let (object, seed) = (sha256(b"agreement"), sha256(n.as_bytes()));
        for change in [
            RequestChange::Own { account: account.id, applicant: &applicant, number: n, agreement: &object },
            RequestChange::Submit { signed: &object, report: "{}" },
            RequestChange::Grant { seed: seed.as_str(), expires_ms: i64::MAX, student_link: None },
        ] {
            assert!(catalog.change_request(request, &change, Some(&account), &[], 1).await.unwrap());
        }
        if lead.is_none() {
            catalog.insert_token(&account, "test", &word(TOKEN), 1).await.unwrap();
            lead = Some(account);
        }
    }
    let folder = package_folder(&project, "v1", 1);
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let size = build(&project, &items, &folder).await.unwrap();
    let package = catalog.record_package(release.id, 1, 0, size, 1).await.unwrap();
    let mut grants = catalog.list_grants().await.unwrap();
    grants.sort_by_key(|grant| grant.id);
    let mut layouts = Vec::new();
    for grant in &grants {
        std::fs::write(manifest_path(&folder, grant), "item\n").unwrap();
        let layout = Layout::open(&folder, &grant.seed).unwrap();
        let delivery = DeliveryRow {
            archive_sha256: sha256(&archive(&layout)),
            archive_bytes: size,
            manifest_sha256: sha256(b"item\n"),
            manifest_bytes: 5,
        };
        catalog.record_delivery(grant.id, package.id, &delivery, 1).await.unwrap();
        layouts.push(layout);
    }
    let settings = TEMPLATE
        .replace("deliver_from = \"server\"", "deliver_from = \"store\"")
        .replace("archives_a_day = 5", "archives_a_day = 50")
        .replace("# [[release]]\n", "[[release]]\nname = \"v1\"\n");
    std::fs::write(root.join(SETTINGS_FILE), settings).unwrap();
    (project, lead.unwrap(), [grants[0].id, grants[1].id], layouts.remove(0), picture)
}

fn archive(layout: &Layout) -> Vec<u8> {
    let mut bytes = vec![0; layout.size() as usize];
    layout.read_at(&layout.open_pack().unwrap(), 0, &mut bytes).unwrap();
    bytes
}

/// A server that ends with the test.
struct Serving(Child, String);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(root: &Path, s3: &S3) -> Serving {
    let mut command =
        affectory(&s3.variables(), &["--project", root.to_str().unwrap(), "serve", "--bind", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Serving(child, line.trim().rsplit("http://").next().unwrap().to_owned())
}

/// Status and head of what a server answers to a GET.
fn head(address: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}connection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (text[9..12].parse().unwrap(), text.split("\r\n\r\n").next().unwrap().to_owned())
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recipient_gets_an_archive_from_the_bucket_until_the_access_ends() {
    let (s3, folder) = (S3::start(), tempfile::tempdir().unwrap());
    let root = folder.path().join("p");
    let (project, lead, [grant, other], layout, picture) = granted(&root, &s3).await;
    let serving = serve(&root, &s3);
    let note_of = |grant| package_folder(&project, "v1", 1).join(format!("shared-{grant}.txt"));
    let (note, other_note) = (note_of(grant), note_of(other));
    let is_whole = |note: &Path| std::fs::read_to_string(note).is_ok_and(|text| text.ends_with("whole\n"));
    wait_until("the archives are in the bucket", || is_whole(&note) && is_whole(&other_note));
    let file_of = |note: &Path| {
        let text = std::fs::read_to_string(note).unwrap();
        s3.file(&format!("lab/{}", text.lines().nth(1).unwrap()))
    };
    let (file, other_file) = (file_of(&note), file_of(&other_note));
    assert_eq!(std::fs::read(&file).unwrap(), archive(&layout));

    let path = format!("/files/{grant}/v1-r1.tar");
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    assert_ne!(head(&serving.1, &path, "").0, 307, "nobody is sent anywhere without a token");
    let (status, answer) = head(&serving.1, &path, &bearer);
    assert_eq!(status, 307, "{answer}");
    let link = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    assert!(link.contains("X-Amz-Expires=60") && !link.contains("hush"), "{link}");
    let link_path = link.strip_prefix(&format!("http://{}", s3.address)).unwrap();
    let there = s3.address.to_string();
    assert_eq!(head(&there, link_path, "range: bytes=5-9\r\n").0, 206);

    // Ours and curl, each with a part that was there before.
    let whole = archive(&layout);
    let ours = folder.path().join("ours");
    std::fs::create_dir(&ours).unwrap();
    std::fs::write(ours.join("v1-r1.tar.part"), &whole[..1_000_000]).unwrap();
    let url = format!("http://{}/files/{grant}", serving.1);
    let token = [("AFFECTORY_TOKEN".to_owned(), TOKEN.to_owned())];
    done(&run(&token, &["fetch", &url, "--to", ours.to_str().unwrap()]));
    assert_eq!(std::fs::read(ours.join("v1-r1.tar")).unwrap(), whole);
    let theirs = folder.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("v1-r1.tar"), &whole[..2_000_000]).unwrap();
    let mut stream = TcpStream::connect(&serving.1).unwrap();
    let script = format!("/files/{grant}/download.sh");
    write!(stream, "GET {script} HTTP/1.1\r\nhost: x\r\n{bearer}connection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    std::fs::write(theirs.join("download.sh"), text.split_once("\r\n\r\n").unwrap().1).unwrap();
    for _ in 0..2 {
        let script = Command::new("sh").arg("download.sh").current_dir(&theirs).envs(token.clone()).output().unwrap();
        done(&script);
        assert_eq!(std::fs::read(theirs.join("v1-r1.tar")).unwrap(), whole);
    }
    let by_link: Vec<String> = s3.asked().into_iter().filter(|asked| asked.contains("X-Amz-Signature")).collect();
    assert!(by_link.len() >= 3 && by_link.iter().all(|asked| !asked.contains("authorization")), "{by_link:?}");
    let log = project.catalog.list_downloads(grant, 100).await.unwrap();
    let firsts: Vec<u64> = log.iter().filter(|row| row.file == "v1-r1.tar").map(|row| row.first_byte).collect();
    assert_eq!(firsts, [2_000_000, 1_000_000, 0]);

    assert!(project.catalog.revoke_grant(grant, "left", &lead, &[], 2).await.unwrap());
    assert_eq!(head(&serving.1, &path, &bearer).0, 404, "no new link, at once");
    wait_until("the archive is gone", || !file.exists() && !note.exists());
    assert_eq!(head(&there, link_path, "").0, 404, "what was given out leads to nothing");
    assert!(other_file.exists(), "another's access holds");
    project.catalog.withdraw_image(&picture, "asked by mail", 3).await.unwrap();
    wait_until("an archive with a withdrawn picture is gone", || !other_file.exists() && !other_note.exists());
}
