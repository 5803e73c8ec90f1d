//! What may `[faces]` say: which faces are looked for behind the downloader, and what becomes of pictures without one?

/// How pictures are searched for faces as they arrive.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FacesSettings {
    /// Shorter side of the smallest face that is looked for, in pixels, 12 to 4,096. Twice as much takes a quarter of the
    /// time.
    pub min_px: u32,
    /// Shorter side from which on a face is of use, in pixels, at least `min_px`.
    pub usable_px: u32,
    /// Whether pictures without a usable face are taken out of the store. Their rows stay.
    pub drop_unusable: bool,
}

impl Default for FacesSettings {
    fn default() -> Self {
        Self { min_px: 30, usable_px: 60, drop_unusable: false }
    }
}

impl FacesSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        if !(12..=4_096).contains(&self.min_px) {
            return Err(format!("min_px = {} is outside 12 to 4096", self.min_px));
        }
        if self.usable_px < self.min_px {
            return Err(format!("usable_px = {} is below min_px = {}", self.usable_px, self.min_px));
        }
        Ok(())
    }
}
