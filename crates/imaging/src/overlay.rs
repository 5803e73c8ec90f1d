//! How does a prediction look on its picture? Box, label and a small circumplex, as one SVG that any browser opens.

use std::fmt::Write as _;

use affectory_core::{BoundingBox, ValenceArousal};
use base64::Engine as _;

use crate::{ImagingError, RgbImage, encode_jpeg};

/// What is drawn over one face.
#[derive(Debug, Clone, PartialEq)]
pub struct OverlayFace {
    /// The face in the picture, pixels.
    pub bounding_box: BoundingBox,
    /// Text of the chip, e.g. `happy 93 %`.
    pub label: Option<String>,
    /// The point in the circumplex.
    pub valence_arousal: Option<ValenceArousal>,
    /// Whether that point was learnt from a proxy; it is then drawn hollow and called so.
    pub is_proxy: bool,
}

/// The shorter side is shown at least this large, so that a 48-pixel face can be looked at.
const MIN_SHOWN_PX: f64 = 480.0;

/// Draws faces over a picture. The picture is inside the SVG (JPEG, quality 92): the file stands alone.
///
/// # Errors
/// If the picture cannot be encoded (a side of 0 or above 65535).
pub fn overlay_svg(image: &RgbImage, faces: &[OverlayFace]) -> Result<String, ImagingError> {
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let zoom = (MIN_SHOWN_PX / width.min(height)).max(1.0);
    let picture = base64::engine::general_purpose::STANDARD.encode(encode_jpeg(image, 92)?);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{:.0}\" height=\"{:.0}\" \
         font-family=\"system-ui, sans-serif\">\n<image width=\"{width}\" height=\"{height}\" \
         href=\"data:image/jpeg;base64,{picture}\"/>\n",
        width * zoom,
        height * zoom
    );
    // A hundredth of the picture: strokes and letters look alike at any size.
    let unit = width.min(height) / 100.0;
    for face in faces {
        draw_face(&mut svg, face, unit, width, height);
    }
    svg += "</svg>\n";
    Ok(svg)
}

fn draw_face(svg: &mut String, face: &OverlayFace, unit: f64, width: f64, height: f64) {
    let b = face.bounding_box;
    let inset = unit * 0.4;
    let (left, top) = (f64::from(b.x).max(inset), f64::from(b.y).max(inset));
    let right = f64::from(b.x + b.width).min(width - inset);
    let bottom = f64::from(b.y + b.height).min(height - inset);
    let (w, h) = ((right - left).max(unit), (bottom - top).max(unit));
    let _ = writeln!(
        svg,
        "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" rx=\"{:.2}\" fill=\"none\" \
         stroke=\"#ffd54a\" stroke-width=\"{:.2}\"/>",
        (w * 0.05).clamp(unit * 0.6, unit * 1.5),
        (w * 0.025).clamp(unit * 0.3, unit * 0.8)
    );
    if let Some(label) = &face.label {
        // As wide as a small face's box, so that neighbours stay apart.
        let letters = (w * 0.14).clamp(unit * 1.8, unit * 4.0);
        let chip_width = letters * 0.58 * label.chars().count() as f64 + letters;
        let x = left.min(width - chip_width).max(0.0);
        let y = if top >= letters * 1.6 { top - letters * 1.6 } else { top };
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{chip_width:.2}\" height=\"{:.2}\" rx=\"{:.2}\" fill=\"#1b1b1f\" \
             fill-opacity=\"0.82\"/><text x=\"{:.2}\" y=\"{:.2}\" font-size=\"{letters:.2}\" fill=\"#fff\">{}</text>",
            letters * 1.6,
            letters * 0.4,
            x + letters * 0.5,
            y + letters * 1.15,
            escape(label)
        );
    }
    if let Some(point) = face.valence_arousal {
        let radius = (w.min(h) * 0.25).clamp(unit * 2.5, unit * 14.0);
        let below = bottom + radius * 1.2;
        // Under the box where there is room, so that the mouth can be seen.
        let (cx, cy) = if below + radius <= height {
            (right - radius, below)
        } else {
            let inside = (right - radius * 0.6, bottom - radius * 0.6);
            (inside.0.min(width - radius - unit), inside.1.min(height - radius - unit))
        };
        draw_circumplex(svg, point, face.is_proxy, cx, cy, radius);
    }
}

/// Valence to the right, arousal up, as annotators see it.
fn draw_circumplex(svg: &mut String, point: ValenceArousal, is_proxy: bool, cx: f64, cy: f64, radius: f64) {
    let (valence, arousal) = (f64::from(point.valence.value()), f64::from(point.arousal.value()));
    let line = radius * 0.05;
    let _ = writeln!(
        svg,
        "<g><title>valence {valence:+.2}, arousal {arousal:+.2}{}</title>\
         <circle cx=\"{cx:.2}\" cy=\"{cy:.2}\" r=\"{radius:.2}\" fill=\"#1b1b1f\" fill-opacity=\"0.72\" stroke=\"#fff\" \
         stroke-width=\"{line:.2}\"/>\
         <path d=\"M{:.2} {cy:.2}h{:.2}M{cx:.2} {:.2}v{:.2}\" stroke=\"#fff\" stroke-opacity=\"0.5\" \
         stroke-width=\"{:.2}\"/>\
         <circle cx=\"{:.2}\" cy=\"{:.2}\" r=\"{:.2}\" fill=\"{}\" stroke=\"#ff6b57\" stroke-width=\"{line:.2}\"/>",
        if is_proxy { " (proxy)" } else { "" },
        cx - radius,
        2.0 * radius,
        cy - radius,
        2.0 * radius,
        line * 0.6,
        cx + valence * radius,
        cy - arousal * radius,
        radius * 0.13,
        if is_proxy { "none" } else { "#ff6b57" },
    );
    if is_proxy {
        let _ = writeln!(
            svg,
            "<text x=\"{cx:.2}\" y=\"{:.2}\" font-size=\"{:.2}\" text-anchor=\"middle\" fill=\"#fff\">proxy</text>",
            cy + radius * 0.88,
            radius * 0.3
        );
    }
    svg.push_str("</g>\n");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_label_stays_text_and_a_proxy_is_called_proxy() -> Result<(), ImagingError> {
        let face = OverlayFace {
            bounding_box: BoundingBox::whole(48, 48),
            label: Some("<script>\"&".into()),
            valence_arousal: Some(ValenceArousal::clamped(0.5, -0.5)),
            is_proxy: true,
        };
        let svg = overlay_svg(&RgbImage::filled(48, 48, [90, 90, 90]), &[face])?;
        assert!(svg.contains("&lt;script&gt;&quot;&amp;") && !svg.contains("<script"));
        assert!(svg.contains(">proxy</text>") && svg.contains("width=\"480\""));
        Ok(())
    }
}
