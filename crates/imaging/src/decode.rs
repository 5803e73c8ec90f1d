//! Which pixels do these bytes hold, if any?

use std::io::Cursor;
use std::num::NonZeroU64;

use affectory_core::BoundingBox;
use image::ImageDecoder;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use crate::guard::guarded;
use crate::orientation::{exif_orientation, turned_upright};
#[cfg(not(feature = "turbojpeg"))]
use crate::smaller as faster;
#[cfg(feature = "turbojpeg")]
use crate::turbo as faster;
use crate::{ImagingError, RgbImage};

/// What reads the pixels of JPEGs. Decoders differ in the last bits of a pixel: a number that rests on them says which one
/// it was.
pub const JPEG_DECODER: &str =
    if cfg!(feature = "turbojpeg") { "libjpeg-turbo" } else { "zune-jpeg, at 1/2 and 1/4 by libjpeg-turbo-rs" };

/// Scans that another decoder than zune-jpeg is given, as many as that allows: each may cost a walk over the whole picture.
const MAX_SCANS: usize = 100;

const START_OF_SCAN: &[u8] = b"\xff\xda";

/// What decoding may use. Checked before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of input; default 64 MiB.
    pub max_bytes: u64,
    /// Pixels after decoding; default 50 million (RGB: 150 MB).
    pub max_pixels: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_pixels: 50_000_000 }
    }
}

impl Limits {
    /// Whether so many pixels may be allocated.
    ///
    /// # Errors
    /// [`ImagingError::TooManyPixels`], or [`ImagingError::UnknownFormat`] for a side of 0.
    pub fn check_pixels(&self, width: u64, height: u64) -> Result<(), ImagingError> {
        match width.checked_mul(height) {
            Some(0) => Err(ImagingError::UnknownFormat("a side of 0 pixels".into())),
            Some(pixels) if pixels <= self.max_pixels => Ok(()),
            _ => Err(ImagingError::TooManyPixels { width, height, limit_pixels: self.max_pixels }),
        }
    }

    /// Memory a decoder may take besides its output: 8 bytes a pixel covers 16-bit RGBA.
    fn decoder_bytes(&self) -> u64 {
        self.max_pixels.saturating_mul(8)
    }
}

/// The format, by content and never by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG of any depth.
    Png,
    /// WebP, lossy or lossless.
    WebP,
    /// GIF; its first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
}

impl ImageFormat {
    /// Lower-case name, also the file extension.
    pub const fn name(self) -> &'static str {
        match self {
            ImageFormat::Jpeg => "jpeg",
            ImageFormat::Png => "png",
            ImageFormat::WebP => "webp",
            ImageFormat::Gif => "gif",
            ImageFormat::Bmp => "bmp",
        }
    }

    /// The format these bytes begin like.
    ///
    /// # Errors
    /// [`ImagingError::Empty`], or [`ImagingError::UnknownFormat`] with a word on what they look like instead.
    pub fn sniff(bytes: &[u8]) -> Result<Self, ImagingError> {
        match bytes {
            [] => Err(ImagingError::Empty),
            [0xff, 0xd8, 0xff, ..] => Ok(ImageFormat::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(ImageFormat::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(ImageFormat::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(ImageFormat::Gif),
            [b'B', b'M', _, _, _, _, ..] => Ok(ImageFormat::Bmp),
            other => Err(ImagingError::UnknownFormat(looks_like(other).into())),
        }
    }
}

fn looks_like(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(256)];
    let text = String::from_utf8_lossy(head).to_lowercase();
    if text.contains("<svg") {
        "an SVG drawing"
    } else if text.trim_start().starts_with('<') {
        "an HTML or XML page"
    } else if head.starts_with(b"PK") {
        "a zip archive"
    } else if head.starts_with(b"%PDF") {
        "a PDF document"
    } else if head.get(4..8) == Some(b"ftyp") {
        "an HEIC, AVIF or MP4 file"
    } else if head.starts_with(b"II*\0") || head.starts_with(b"MM\0*") {
        "a TIFF image"
    } else {
        "unknown bytes"
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Upright pixels; transparency is laid over white, colour profiles are ignored.
    pub image: RgbImage,
    /// What it was.
    pub format: ImageFormat,
}

/// A picture that may have been decoded smaller than it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// Upright pixels, as in [`Decoded`]; each stands for `shrink` times `shrink` of the picture's.
    pub image: RgbImage,
    /// Width and height of the picture itself. Where they cannot be divided, `image` is rounded up.
    pub size: (u32, u32),
    /// 1, 2, 4 or 8.
    pub shrink: u32,
}

impl Shrunk {
    /// Where a box of the picture lies in [`Shrunk::image`].
    pub fn place(&self, bounding_box: BoundingBox) -> BoundingBox {
        let shrink = self.shrink as f32;
        let BoundingBox { x, y, width, height } = bounding_box;
        BoundingBox { x: x / shrink, y: y / shrink, width: width / shrink, height: height / shrink }
    }
}

/// What a picture's header says, before its pixels are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub format: ImageFormat,
    /// Width of the upright picture in pixels.
    pub width: u32,
    /// Height of the upright picture in pixels.
    pub height: u32,
}

/// Reads format and size without decoding: a thousand times cheaper, with the same limits. That the pixels can be
/// decoded, too, is not said; a JPEG without its end is refused here already.
///
/// # Errors
/// An [`ImagingError`] that says why the bytes are refused.
pub fn read_header(bytes: &[u8], limits: &Limits) -> Result<Header, ImagingError> {
    let format = sniff_within(bytes, limits)?;
    let (width, height, orientation) = guarded(format, || match format {
        ImageFormat::Jpeg => Ok(open_jpeg(bytes, limits)?.1),
        ImageFormat::Png => Ok(open_png(bytes, limits)?.1),
        ImageFormat::WebP => Ok(open_webp(bytes, limits)?.1),
        ImageFormat::Gif => Ok(open_gif(bytes, limits)?.1),
        ImageFormat::Bmp => Ok(open_bmp(bytes, limits)?.1),
    })?;
    let is_transposed = (5..=8).contains(&orientation);
    let (width, height) = if is_transposed { (height, width) } else { (width, height) };
    Ok(Header { format, width, height })
}

fn sniff_within(bytes: &[u8], limits: &Limits) -> Result<ImageFormat, ImagingError> {
    let size_bytes = bytes.len() as u64;
    if size_bytes > limits.max_bytes {
        return Err(ImagingError::TooManyBytes { size_bytes, limit_bytes: limits.max_bytes });
    }
    ImageFormat::sniff(bytes)
}

/// Decodes a picture within limits and turns it upright by its EXIF orientation.
///
/// A JPEG without its end-of-image marker is refused as truncated, because a lab would rather miss a picture
/// than keep one whose lower half is grey; damage inside the data is read as far as the decoder can.
///
/// # Errors
/// An [`ImagingError`] that says why the bytes are refused.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, ImagingError> {
    let format = sniff_within(bytes, limits)?;
    let (image, orientation) = guarded(format, || match format {
        ImageFormat::Jpeg => Ok(decode_jpeg(bytes, limits, |_, _| 1.0)?.0),
        ImageFormat::Png => decode_png(bytes, limits),
        ImageFormat::WebP => decode_webp(bytes, limits),
        ImageFormat::Gif => Ok((decode_gif(bytes, limits)?, 1)),
        ImageFormat::Bmp => Ok((decode_bmp(bytes, limits)?, 1)),
    })?;
    Ok(Decoded { image: turned_upright(image, orientation), format })
}

/// Decodes as [`decode`] does, for a caller who makes the picture smaller anyway: `needed` says for its upright width and
/// height which scale that is (1 is the picture's own), and a decoder that saves time by it gives a half, a quarter or
/// an eighth of the size.
///
/// That is done for JPEGs: at a half or a quarter for the usual kinds by default, for nearly all and at an eighth, too, with
/// the feature `turbojpeg`. A crop of 520x520 pixels made 224x224 from a half differs from the same crop of the whole picture
/// by a PSNR of 43 dB or more (five photographs, `benches/decode.rs`). Of a damaged picture another decoder may read more or
/// less than [`decode`] does.
///
/// # Errors
/// As [`decode`].
pub fn decode_for(bytes: &[u8], limits: &Limits, needed: impl FnOnce(u32, u32) -> f64) -> Result<Shrunk, ImagingError> {
    let format = sniff_within(bytes, limits)?;
    if format != ImageFormat::Jpeg {
        let image = decode(bytes, limits)?.image;
        return Ok(Shrunk { size: (image.width, image.height), image, shrink: 1 });
    }
    let mut size = (0, 0);
    let ((image, orientation), shrink) = guarded(format, || {
        decode_jpeg(bytes, limits, |width, height| {
            size = (width, height);
            needed(width, height)
        })
    })?;
    let image = turned_upright(image, orientation);
    if shrink == 1 {
        size = (image.width, image.height);
    }
    Ok(Shrunk { image, size, shrink })
}

pub(crate) fn damaged(format: ImageFormat, reason: impl std::fmt::Display) -> ImagingError {
    // A decoder's message can quote the file; a status column wants it short.
    ImagingError::Damaged { format: format.name(), reason: reason.to_string().trim().chars().take(200).collect() }
}

/// Pixels and EXIF orientation (1 to 8).
type Oriented = (RgbImage, u32);

/// Width, height as stored, EXIF orientation (1 to 8).
type Stored = (u32, u32, u32);

type Bytes<'a> = Cursor<&'a [u8]>;

pub(crate) type JpegDecoder<'a> = zune_jpeg::JpegDecoder<ZCursor<&'a [u8]>>;

fn open_jpeg<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(JpegDecoder<'a>, Stored), ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::Jpeg, reason);
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| bad(&e))?;
    let info = decoder.info().ok_or_else(|| bad(&"no frame header"))?;
    limits.check_pixels(info.width.into(), info.height.into())?;
    if !has_end_of_image(bytes) {
        return Err(bad(&"truncated, the end-of-image marker is missing"));
    }
    let orientation = decoder.exif().map_or(1, |exif| exif_orientation(exif));
    Ok((decoder, (info.width.into(), info.height.into(), orientation)))
}

/// `needed` says for an upright width and height at which scale the picture is wanted at least.
fn decode_jpeg(
    bytes: &[u8],
    limits: &Limits,
    needed: impl FnOnce(u32, u32) -> f64,
) -> Result<(Oriented, u32), ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::Jpeg, reason);
    let (mut decoder, (width, height, orientation)) = open_jpeg(bytes, limits)?;
    let is_transposed = (5..=8).contains(&orientation);
    let scale = if is_transposed { needed(height, width) } else { needed(width, height) };
    let shrink = shrink_for(scale, (width, height), orientation);
    if let Some(image) = faster::decode(bytes, &decoder, (width, height), shrink) {
        return Ok(((image, orientation), shrink));
    }
    let pixels = decoder.decode().map_err(|e| bad(&e))?;
    if pixels.len() as u64 != u64::from(width) * u64::from(height) * 3 {
        return Err(bad(&"the decoder returned another number of pixels"));
    }
    Ok(((RgbImage { width, height, pixels }, orientation), 1))
}

/// By how much a JPEG may be shrunk where this scale is wanted.
fn shrink_for(scale: f64, (width, height): (u32, u32), orientation: u32) -> u32 {
    // A side that cannot be divided gets a last pixel of which a part lies outside; turned, that would be the first one.
    let fits = |shrink: &u32| orientation == 1 || (width.is_multiple_of(*shrink) && height.is_multiple_of(*shrink));
    let is_enough = |shrink: &u32| 1.0 / f64::from(*shrink) >= scale;
    faster::SHRINKS.into_iter().find(|shrink| is_enough(shrink) && fits(shrink)).unwrap_or(1)
}

/// Whether an end-of-image marker follows the last start of scan. Entropy-coded data never holds FF D9,
/// and thumbnails, which do, lie before the first scan.
///
/// Of a whole picture only its first and its last bytes are looked at: every picture that is fetched comes past here.
fn has_end_of_image(bytes: &[u8]) -> bool {
    let Some(end) = memchr::memmem::rfind(bytes, b"\xff\xd9") else { return false };
    let (before, after) = bytes.split_at(end);
    memchr::memmem::find(after, START_OF_SCAN).is_none() && memchr::memmem::find(before, START_OF_SCAN).is_some()
}

pub(crate) fn has_few_scans(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, START_OF_SCAN).take(MAX_SCANS + 1).count() <= MAX_SCANS
}

fn open_png<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(png::Reader<Bytes<'a>>, Stored), ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::Png, reason);
    // The header first, by hand: the decoder would refuse huge sizes too, with a vaguer word.
    let side = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    if let (Some(width), Some(height)) = (side(16), side(20)) {
        limits.check_pixels(width.into(), height.into())?;
    }
    let memory = usize::try_from(limits.decoder_bytes()).unwrap_or(usize::MAX);
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: memory });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let reader = decoder.read_info().map_err(|e| bad(&e))?;
    let info = reader.info();
    limits.check_pixels(info.width.into(), info.height.into())?;
    let orientation = info.exif_metadata.as_ref().map_or(1, |exif| exif_orientation(exif));
    let stored = (info.width, info.height, orientation);
    Ok((reader, stored))
}

fn decode_png(bytes: &[u8], limits: &Limits) -> Result<Oriented, ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::Png, reason);
    let (mut reader, (_, _, orientation)) = open_png(bytes, limits)?;
    let size_bytes = reader.output_buffer_size().ok_or_else(|| bad(&"too large"))?;
    let mut buffer = vec![0; size_bytes];
    let frame = reader.next_frame(&mut buffer).map_err(|e| bad(&e))?;
    buffer.truncate(frame.buffer_size());
    let pixels = match frame.color_type {
        png::ColorType::Grayscale => buffer.iter().flat_map(|v| [*v; 3]).collect(),
        png::ColorType::GrayscaleAlpha => buffer.chunks_exact(2).flat_map(|p| over_white([p[0]; 3], p[1])).collect(),
        png::ColorType::Rgb => buffer,
        png::ColorType::Rgba => rgba_over_white(&buffer),
        png::ColorType::Indexed => return Err(bad(&"the palette was not expanded")),
    };
    Ok((RgbImage { width: frame.width, height: frame.height, pixels }, orientation))
}

fn open_webp<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(image_webp::WebPDecoder<Bytes<'a>>, Stored), ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::WebP, reason);
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(|e| bad(&e))?;
    decoder.set_memory_limit(usize::try_from(limits.decoder_bytes()).unwrap_or(usize::MAX));
    let (width, height) = decoder.dimensions();
    limits.check_pixels(width.into(), height.into())?;
    let orientation = decoder.exif_metadata().ok().flatten().map_or(1, |exif| exif_orientation(&exif));
    Ok((decoder, (width, height, orientation)))
}

fn decode_webp(bytes: &[u8], limits: &Limits) -> Result<Oriented, ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::WebP, reason);
    let (mut decoder, (width, height, orientation)) = open_webp(bytes, limits)?;
    let size_bytes = decoder.output_buffer_size().ok_or_else(|| bad(&"too large"))?;
    let mut buffer = vec![0; size_bytes];
    decoder.read_image(&mut buffer).map_err(|e| bad(&e))?;
    let pixels = if decoder.has_alpha() { rgba_over_white(&buffer) } else { buffer };
    Ok((RgbImage { width, height, pixels }, orientation))
}

fn open_gif<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(gif::Decoder<Bytes<'a>>, Stored), ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::Gif, reason);
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    options.check_frame_consistency(true);
    if let Some(memory) = NonZeroU64::new(limits.decoder_bytes()) {
        options.set_memory_limit(gif::MemoryLimit::Bytes(memory));
    }
    let decoder = options.read_info(Cursor::new(bytes)).map_err(|e| bad(&e))?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    limits.check_pixels(width.into(), height.into())?;
    Ok((decoder, (width, height, 1)))
}

fn decode_gif(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::Gif, reason);
    let (mut decoder, (width, height, _)) = open_gif(bytes, limits)?;
    let frame = decoder.read_next_frame().map_err(|e| bad(&e))?.ok_or_else(|| bad(&"no frame"))?;
    // A frame covers a part of the screen; the rest of the first one is background.
    let mut screen = RgbImage::filled(width, height, [255; 3]);
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (across, down) = (usize::from(frame.width), usize::from(frame.height));
    for (row, line) in frame.buffer.chunks_exact(4 * across.max(1)).take(down).enumerate() {
        for (column, p) in line.chunks_exact(4).enumerate() {
            let (x, y) = (left + column, top + row);
            if x < width as usize && y < height as usize {
                let at = (y * width as usize + x) * 3;
                screen.pixels[at..at + 3].copy_from_slice(&over_white([p[0], p[1], p[2]], p[3]));
            }
        }
    }
    Ok(screen)
}

fn open_bmp<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(image::codecs::bmp::BmpDecoder<Bytes<'a>>, Stored), ImagingError> {
    let decoder = image::codecs::bmp::BmpDecoder::new(Cursor::new(bytes)).map_err(|e| damaged(ImageFormat::Bmp, e))?;
    let (width, height) = decoder.dimensions();
    limits.check_pixels(width.into(), height.into())?;
    Ok((decoder, (width, height, 1)))
}

fn decode_bmp(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImagingError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(ImageFormat::Bmp, reason);
    let (mut decoder, (width, height, _)) = open_bmp(bytes, limits)?;
    let mut memory = image::Limits::default();
    memory.max_alloc = Some(limits.decoder_bytes());
    decoder.set_limits(memory).map_err(|e| bad(&e))?;
    let picture = image::DynamicImage::from_decoder(decoder).map_err(|e| bad(&e))?;
    let pixels = rgba_over_white(&picture.into_rgba8().into_raw());
    Ok(RgbImage { width, height, pixels })
}

fn rgba_over_white(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4).flat_map(|p| over_white([p[0], p[1], p[2]], p[3])).collect()
}

fn over_white(colour: [u8; 3], alpha: u8) -> [u8; 3] {
    let alpha = u32::from(alpha);
    colour.map(|c| ((u32::from(c) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as it reads: of the markers' last places, the end's is the later one.
    fn ends_after_its_last_scan(bytes: &[u8]) -> bool {
        let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
        matches!((last(0xda), last(0xd9)), (Some(scan), Some(end)) if end > scan)
    }

    #[test]
    fn an_end_is_one_after_the_last_start_of_scan_whatever_lies_between() {
        arbtest::arbtest(|u| {
            let n_bytes = u.int_in_range(0..=12usize)?;
            let bytes =
                (0..n_bytes).map(|_| Ok(*u.choose(&[0xff, 0xda, 0xd9, 0x00])?)).collect::<Result<Vec<u8>, _>>()?;
            assert_eq!(has_end_of_image(&bytes), ends_after_its_last_scan(&bytes), "{bytes:02x?}");
            Ok(())
        })
        .budget_ms(500);
    }
}
