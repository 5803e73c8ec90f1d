//! What does a release say of one face, and how is that one line of its manifest?

use affectory_core::{Arousal, BoundingBox, Expression, Landmarks, PerceptualHash, Sha256Hex, Split, Valence};

/// One face of a release, with everything a trainer, an export or a reader needs to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseItem {
    /// Its name, unique in the release: sixteen digits of the image's hash and the face's number in the image.
    pub item: String,
    /// The image in the store.
    pub image_sha256: Sha256Hex,
    /// The aligned crop in the store, if one was kept.
    pub crop_sha256: Option<Sha256Hex>,
    /// What the image looks like.
    pub phash: PerceptualHash,
    /// `jpeg`, `png`, `webp`, `gif` or `bmp`.
    pub format: String,
    /// Width of the image in pixels, upright.
    pub width: u32,
    /// Height of the image in pixels, upright.
    pub height: u32,
    /// The face in the image, pixels.
    pub bounding_box: BoundingBox,
    /// Its landmarks, pixels of the image.
    pub landmarks: Option<Landmarks>,
    /// The category agreed on.
    pub expression: Expression,
    /// Mean valence, if anybody gave one.
    pub valence: Option<Valence>,
    /// Mean arousal, if anybody gave one.
    pub arousal: Option<Arousal>,
    /// Whether valence and arousal come from a formula and not from people.
    pub is_proxy: bool,
    /// Votes for each of the eleven categories, AffectNet's order: soft labels.
    pub votes: [u32; 11],
    /// Share of votes for the category agreed on, 0 to 1.
    pub agreement: Option<f32>,
    /// What it is for.
    pub split: Split,
    /// Near-duplicates and images of one page have the same number; a group lies in one split.
    pub group: u64,
    /// Where the image was met first, by name.
    pub source: String,
    /// Its path or URL there.
    pub path: String,
    /// The page it stood on.
    pub page_url: Option<String>,
    /// Its licence.
    pub license: Option<String>,
}

/// The manifest's header.
pub(crate) const COLUMNS: [&str; 24] = [
    "item",
    "image_sha256",
    "crop_sha256",
    "phash",
    "format",
    "width",
    "height",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "landmarks",
    "expression",
    "valence",
    "arousal",
    "is_proxy",
    "votes",
    "agreement",
    "split",
    "group",
    "source",
    "path",
    "page_url",
    "license",
];

/// A number's text, or nothing. `Display` of f32 reads back to the same bits.
pub(crate) fn or_empty<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

impl ReleaseItem {
    /// The manifest's header.
    pub const fn columns() -> [&'static str; COLUMNS.len()] {
        COLUMNS
    }

    /// Its line of the manifest.
    pub fn to_fields(&self) -> [String; COLUMNS.len()] {
        let BoundingBox { x, y, width, height } = self.bounding_box;
        let votes: Vec<String> = self.votes.iter().map(u32::to_string).collect();
        [
            self.item.clone(),
            self.image_sha256.to_string(),
            or_empty(self.crop_sha256.as_ref()),
            format!("{:016x}", self.phash.0),
            self.format.clone(),
            self.width.to_string(),
            self.height.to_string(),
            x.to_string(),
            y.to_string(),
            width.to_string(),
            height.to_string(),
            self.landmarks.as_ref().map(Landmarks::to_text).unwrap_or_default(),
            self.expression.to_string(),
            or_empty(self.valence.map(Valence::value)),
            or_empty(self.arousal.map(Arousal::value)),
            u8::from(self.is_proxy).to_string(),
            votes.join(";"),
            or_empty(self.agreement),
            self.split.to_string(),
            self.group.to_string(),
            self.source.clone(),
            self.path.clone(),
            self.page_url.clone().unwrap_or_default(),
            self.license.clone().unwrap_or_default(),
        ]
    }

    /// Reads a line of a manifest; the reason if it is none.
    pub(crate) fn from_fields(line: &csv::StringRecord) -> Result<ReleaseItem, String> {
        let mut fields = line.iter();
        let mut next = || fields.next().ok_or_else(|| "a line is too short".to_owned());
        fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
            text.parse().map_err(|_| format!("`{}` is not a number", crate::names::printable(text)))
        }
        fn filled(text: &str) -> Option<&str> {
            (!text.is_empty()).then_some(text)
        }
        let text = |e: affectory_core::CoreError| e.to_string();
        Ok(ReleaseItem {
            item: next()?.to_owned(),
            image_sha256: next()?.parse().map_err(text)?,
            crop_sha256: filled(next()?).map(str::parse).transpose().map_err(text)?,
            phash: PerceptualHash(
                u64::from_str_radix(next()?, 16).map_err(|_| "a perceptual hash is not hexadecimal")?,
            ),
            format: next()?.to_owned(),
            width: number(next()?)?,
            height: number(next()?)?,
            bounding_box: BoundingBox::new(number(next()?)?, number(next()?)?, number(next()?)?, number(next()?)?)
                .map_err(text)?,
            landmarks: filled(next()?).map(Landmarks::from_text).transpose().map_err(text)?,
            expression: next()?.parse().map_err(text)?,
            valence: filled(next()?).map(number).transpose()?.map(Valence::new).transpose().map_err(text)?,
            arousal: filled(next()?).map(number).transpose()?.map(Arousal::new).transpose().map_err(text)?,
            is_proxy: next()? == "1",
            votes: {
                let votes: Vec<u32> = next()?.split(';').map(number).collect::<Result<_, _>>()?;
                votes.try_into().map_err(|_| "expected eleven counts of votes")?
            },
            agreement: filled(next()?).map(number).transpose()?,
            split: next()?.parse().map_err(text)?,
            group: number(next()?)?,
            source: next()?.to_owned(),
            path: next()?.to_owned(),
            page_url: filled(next()?).map(str::to_owned),
            license: filled(next()?).map(str::to_owned),
        })
    }
}

/// A manifest that is being written: each record is an item's [`ReleaseItem::to_fields`]. The same items give the same
/// bytes.
pub(crate) fn manifest<W: std::io::Write>(to: W) -> Result<csv::Writer<W>, csv::Error> {
    let mut table = csv::WriterBuilder::new().buffer_capacity(64 << 10).from_writer(to);
    table.write_record(COLUMNS)?;
    Ok(table)
}

/// Reads a manifest back, one item after the other.
pub(crate) fn read_items<R: std::io::Read>(
    from: R,
) -> Result<impl Iterator<Item = Result<ReleaseItem, String>> + use<R>, String> {
    let mut table = csv::ReaderBuilder::new().buffer_capacity(64 << 10).from_reader(from);
    let header = table.headers().map_err(|e| e.to_string())?;
    if !header.iter().eq(COLUMNS) {
        return Err("its header is not one this program writes".into());
    }
    Ok(table.into_records().map(|line| {
        let line = line.map_err(|e| e.to_string())?;
        let at = line.position().map_or(0, csv::Position::line);
        ReleaseItem::from_fields(&line).map_err(|reason| format!("line {at}: {reason}"))
    }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An item that nothing is special about.
    pub fn item(n: u64) -> ReleaseItem {
        let hash = Sha256Hex::from_digest(&std::array::from_fn(|i| n.to_be_bytes()[i % 8]));
        ReleaseItem {
            item: format!("{n:016x}-0"),
            image_sha256: hash,
            crop_sha256: None,
            phash: PerceptualHash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            format: "png".into(),
            width: 48,
            height: 48,
            bounding_box: BoundingBox::whole(48, 48),
            landmarks: None,
            expression: Expression::ALL[(n % 8) as usize],
            valence: Valence::new(0.1 + 0.2).ok(),
            arousal: None,
            is_proxy: false,
            votes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            agreement: Some(0.7),
            split: Split::Train,
            group: n,
            source: "a, \"b\"\n".into(),
            path: "x".into(),
            page_url: None,
            license: Some("CC0".into()),
        }
    }

    fn write_manifest(items: &[ReleaseItem]) -> Vec<u8> {
        let mut table = manifest(Vec::new()).expect("writing to memory");
        items.iter().for_each(|item| table.write_record(item.to_fields()).expect("writing to memory"));
        table.into_inner().expect("writing to memory")
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<ReleaseItem>, String> {
        read_items(bytes)?.collect()
    }

    #[test]
    fn a_manifest_reads_back_to_the_same_bits() {
        let items: Vec<_> = (0..20).map(item).collect();
        let bytes = write_manifest(&items);
        assert_eq!(read_all(&bytes), Ok(items));
    }

    #[test]
    fn no_manifest_makes_it_panic() {
        let good = write_manifest(&[item(1), item(2)]);
        arbtest::arbtest(|u| {
            let mut bytes = good.clone();
            for _ in 0..u.int_in_range(1..=6usize)? {
                let at = u.int_in_range(0..=bytes.len() - 1)?;
                bytes[at] = u.arbitrary()?;
            }
            let _ = read_all(&bytes);
            Ok(())
        })
        .budget_ms(200);
    }
}
