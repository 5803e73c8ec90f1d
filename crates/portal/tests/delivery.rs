//! Is a recipient's copy whole, the same every time, another's another, and found again when a part of it leaks?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use affectory_catalog::{Project, ProjectConfig};
use affectory_core::{BoundingBox, Expression, PerceptualHash, Sha256Hex, Split};
use affectory_portal::delivery::{Layout, Leak, build, marked_manifest, read_leak, trace};
use affectory_release::ReleaseItem;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

const N_ITEMS: usize = 4_000;
const N_RECIPIENTS: usize = 60;

fn sha256(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(bytes).into())
}

fn seed(n: usize) -> String {
    sha256(format!("recipient {n}").as_bytes()).to_string()
}

/// A project with objects that are no pictures, which nobody here looks at, and a release's items over them.
async fn released(folder: &Path) -> (Project, Vec<ReleaseItem>) {
    let project = Project::init(&folder.join("p"), ProjectConfig::default()).await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut items = Vec::new();
    for n in 0..N_ITEMS {
        let mut bytes = vec![0; random.random_range(500..3_000)];
        random.fill(bytes.as_mut_slice());
        let image_sha256 = project.store.put(bytes.into()).await.unwrap();
        let mut coordinate = || (random.random_range(0..400_u32) as f32) / 4.0;
        items.push(ReleaseItem {
            item: format!("{}-0", &image_sha256.as_str()[..16]),
            image_sha256,
            crop_sha256: None,
            phash: PerceptualHash(n as u64),
            format: "jpeg".into(),
            width: 224,
            height: 224,
            bounding_box: BoundingBox::new(coordinate(), coordinate(), 10.0 + coordinate(), 10.0 + coordinate())
                .unwrap(),
            landmarks: None,
            expression: Expression::ALL[n % 8],
            valence: None,
            arousal: None,
            is_proxy: false,
            votes: [1; 11],
            agreement: None,
            split: Split::Train,
            group: n as u64,
            source: "s".into(),
            path: format!("{n}.jpg"),
            page_url: None,
            license: None,
        });
    }
    (project, items)
}

fn archive(layout: &Layout) -> Vec<u8> {
    let mut bytes = vec![0; layout.size() as usize];
    layout.read_at(&layout.open_pack().unwrap(), 0, &mut bytes).unwrap();
    bytes
}

fn places<'a>(items: &'a [ReleaseItem], layout: &Layout) -> HashMap<&'a str, (usize, usize)> {
    items.iter().map(|item| (item.item.as_str(), layout.place(&item.image_sha256).unwrap())).collect()
}

/// Who is named, if anybody.
fn named(leak: &Leak, items: &[ReleaseItem], layouts: &[Layout]) -> Option<usize> {
    let certain: Vec<usize> = (0..layouts.len())
        .filter(|n| trace(leak, &seed(*n), &places(items, &layouts[*n]), layouts.len()).is_certain())
        .collect();
    assert!(certain.len() <= 1, "{certain:?}");
    certain.first().copied()
}

#[tokio::test]
async fn a_leak_is_traced_from_a_tenth_of_it_and_nobody_is_named_without_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let (project, items) = released(folder.path()).await;
    let package = folder.path().join("r1");
    build(&project, &items, &package).await.unwrap();
    let layouts: Vec<Layout> = (0..N_RECIPIENTS).map(|n| Layout::open(&package, &seed(n)).unwrap()).collect();

    // Every copy is a tar with every picture once, whole, whatever its order.
    let originals: BTreeMap<String, u64> = items.iter().map(|item| (item.image_sha256.to_string(), 0)).collect();
    let mut orders = Vec::new();
    for layout in &layouts[..2] {
        let bytes = archive(layout);
        assert_eq!(bytes, archive(layout), "the same every time");
        let mut names = Vec::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let found = sha256(&content).to_string();
            assert!(originals.contains_key(&found) && name == format!("images/{}/{found}.jpeg", &found[..2]), "{name}");
            names.push(name);
        }
        assert_eq!(names.len(), N_ITEMS);
        // Any range is the same bytes as in the whole.
        let pack = layout.open_pack().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(9);
        for _ in 0..200 {
            let at = random.random_range(0..bytes.len());
            let mut part = vec![0; random.random_range(0..=(bytes.len() - at).min(9_000))];
            layout.read_at(&pack, at as u64, &mut part).unwrap();
            assert_eq!(part, bytes[at..at + part.len()]);
            if let Some((offset, n)) = layout.in_memory(&pack, at as u64, part.len()) {
                let mut piece = vec![0; n];
                pack.read_exact_at(&mut piece, offset).unwrap();
                assert_eq!(piece, bytes[at..at + n]);
            }
        }
        orders.push(names);
    }
    assert_ne!(orders[0], orders[1]);

    let guilty = 17;
    let manifest = marked_manifest(&items, &layouts[guilty], &seed(guilty));
    let text = String::from_utf8(manifest).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let tenth: Vec<&str> = lines.iter().copied().filter(|_| random.random_bool(0.1)).collect();
    assert!((300..500).contains(&tenth.len()));
    let read = |header: &str, lines: &[&str]| {
        let path = folder.path().join("leak.csv");
        std::fs::write(&path, format!("{header}\n{}\n", lines.join("\n"))).unwrap();
        read_leak(&path).unwrap()
    };
    assert_eq!(named(&read(header, &tenth), &items, &layouts), Some(guilty), "as it is");
    let mut sorted = tenth.clone();
    sorted.sort_unstable();
    assert_eq!(named(&read(header, &sorted), &items, &layouts), Some(guilty), "sorted: by its spelling");
    let names: Vec<&str> = tenth.iter().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(named(&read("item", &names), &items, &layouts), Some(guilty), "names only: by their order");
    let mut shuffled = names.clone();
    shuffled.shuffle(&mut random);
    assert_eq!(named(&read("item", &shuffled), &items, &layouts), None, "neither order nor spelling");

    // What nobody was given accuses nobody: the release's own manifest, and a copy for somebody who is not on the list.
    let plain = items.iter().map(|item| item.to_fields()[..12].join(",")).collect::<Vec<_>>();
    let columns = ReleaseItem::columns()[..12].join(",");
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    assert_eq!(named(&read(&columns, &plain), &items, &layouts), None);
    let stranger = Layout::open(&package, &seed(999)).unwrap();
    let manifest = String::from_utf8(marked_manifest(&items, &stranger, &seed(999))).unwrap();
    let lines: Vec<&str> = manifest.lines().skip(1).collect();
    assert_eq!(named(&read(header, &lines), &items, &layouts), None);
}

#[tokio::test]
async fn a_marked_manifest_says_the_same_as_the_release() {
    let folder = tempfile::tempdir().unwrap();
    let (project, items) = released(folder.path()).await;
    let package = folder.path().join("r1");
    build(&project, &items, &package).await.unwrap();
    let layout = Layout::open(&package, &seed(1)).unwrap();
    let manifest = marked_manifest(&items, &layout, &seed(1));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in csv::Reader::from_reader(manifest.as_slice()).records() {
        let fields: Vec<String> = line.unwrap().iter().map(str::to_owned).collect();
        found.insert(fields[0].clone(), fields);
    }
    assert_eq!(found.len(), items.len());
    for item in &items {
        for (n, (expected, found)) in item.to_fields().iter().zip(&found[&item.item]).enumerate() {
            let same_number = expected.parse::<f32>().is_ok_and(|value| found.parse() == Ok(value));
            assert!(expected == found || (7..=10).contains(&n) && same_number, "{expected} {found}");
        }
    }
}
