//! How wide is a letter of the agreement's fonts, and which letters do they have?

use krilla::text::Font;

/// One of the two fonts inside the program, with what is needed to break lines.
pub(super) struct Letters {
    pub(super) font: Font,
    advances: Vec<u16>,
    /// First and last letter of a run, and the glyph of the first; sorted.
    groups: Vec<(u32, u32, u32)>,
    units_per_em: f32,
}

const UPRIGHT: &[u8] = include_bytes!("../../assets/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold.ttf");

impl Letters {
    pub(super) fn upright() -> Option<Self> {
        Self::read(UPRIGHT)
    }

    pub(super) fn bold() -> Option<Self> {
        Self::read(BOLD)
    }

    /// Widths from `hmtx`, letters from format 12 of `cmap` (OpenType 1.9).
    fn read(bytes: &'static [u8]) -> Option<Self> {
        let n_metrics = u16_at(table(bytes, b"hhea")?, 34)?;
        let hmtx = table(bytes, b"hmtx")?;
        let advances = (0..usize::from(n_metrics)).map(|glyph| u16_at(hmtx, glyph * 4)).collect::<Option<_>>()?;
        let cmap = table(bytes, b"cmap")?;
        let n_maps = usize::from(u16_at(cmap, 2)?);
        let offsets = (0..n_maps).filter_map(|map| u32_at(cmap, 4 + map * 8 + 4));
        let map = offsets.filter_map(|at| cmap.get(at as usize..)).find(|map| u16_at(map, 0) == Some(12))?;
        let n_groups = u32_at(map, 12)? as usize;
        let group = |at: usize| Some((u32_at(map, at)?, u32_at(map, at + 4)?, u32_at(map, at + 8)?));
        let groups = (0..n_groups).map(|idx| group(16 + idx * 12)).collect::<Option<_>>()?;
        let font = Font::new(bytes.into(), 0)?;
        Some(Self { units_per_em: f32::from(u16_at(table(bytes, b"head")?, 18)?), font, advances, groups })
    }

    pub(super) fn has(&self, letter: char) -> bool {
        self.glyph(letter).is_some()
    }

    /// Width of a text, points, without kerning.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let last = self.advances.last().copied().unwrap_or(0);
        let advance = |letter| {
            let glyph = self.glyph(letter).unwrap_or(0) as usize;
            f32::from(self.advances.get(glyph).copied().unwrap_or(last))
        };
        text.chars().map(advance).sum::<f32>() / self.units_per_em * size
    }

    fn glyph(&self, letter: char) -> Option<u32> {
        let letter = u32::from(letter);
        let group = self.groups.partition_point(|(_, last, _)| *last < letter);
        let (first, _, glyph) = self.groups.get(group).filter(|(first, ..)| *first <= letter)?;
        Some(glyph + letter - first).filter(|glyph| *glyph != 0)
    }
}

fn table(font: &'static [u8], name: &[u8; 4]) -> Option<&'static [u8]> {
    let n_tables = usize::from(u16_at(font, 4)?);
    let mut entries = (0..n_tables).filter_map(|idx| font.get(12 + idx * 16..28 + idx * 16));
    let entry = entries.find(|entry| entry.starts_with(name))?;
    let (start, length) = (u32_at(entry, 8)? as usize, u32_at(entry, 12)? as usize);
    font.get(start..start.checked_add(length)?)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_as_wide_as_the_font_says() {
        let upright = Letters::upright().unwrap();
        // units of 2048, as fontTools reads them
        assert!((upright.width("n", 2048.0) - 1298.0).abs() < 0.5, "{}", upright.width("n", 2048.0));
        assert!((upright.width("i", 2048.0) - 569.0).abs() < 0.5, "{}", upright.width("i", 2048.0));
        assert!(upright.has('Ж') && upright.has('ω') && upright.has('ع') && !upright.has('王'));
        assert!(Letters::bold().unwrap().width("n", 10.0) > upright.width("n", 10.0));
    }
}
