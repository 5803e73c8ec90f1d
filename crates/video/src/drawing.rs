//! How does a person's answer look on a frame? Box, number, expression, and a point in a small circumplex.

use std::convert::Infallible;

use affectory_core::ValenceArousal;
use affectory_imaging::RgbImage;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_6X13_BOLD;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{
    DrawTarget, Drawable as _, OriginDimensions, Pixel, Point, Primitive as _, RgbColor as _, Size,
};
use embedded_graphics::primitives::{Circle, Line, PrimitiveStyle, PrimitiveStyleBuilder, Rectangle};
use embedded_graphics::text::{Baseline, Text};

use crate::FaceNow;

const BOX: Rgb888 = Rgb888::new(0xff, 0xd5, 0x4a);
const POINT: Rgb888 = Rgb888::new(0xff, 0x6b, 0x57);
const DARK: Rgb888 = Rgb888::new(0x1b, 0x1b, 0x1f);
const AXIS: Rgb888 = Rgb888::new(0x80, 0x80, 0x88);

/// Of a letter, before scaling.
const LETTER: (u32, u32) = (6, 13);

/// Radius of the circumplex, before scaling.
const RADIUS: i32 = 24;

/// Letters are drawn so many times larger for each so many rows, that they can be read on any screen.
const ROWS_A_SCALE: u32 = 400;

/// Draws what is said of each person (smoothed) over a frame. A point learnt from a proxy is hollow and called so.
pub fn draw_faces(image: &mut RgbImage, faces: &[FaceNow]) {
    let scale = (image.width.min(image.height) / ROWS_A_SCALE).max(1);
    let mut canvas = Canvas { image, scale };
    for face in faces {
        // Drawing on pixels in memory cannot fail.
        let _ = draw_face(&mut canvas, face);
    }
}

fn draw_face(canvas: &mut Canvas, face: &FaceNow) -> Result<(), Infallible> {
    let Size { width, height } = canvas.size();
    // A box that reaches far beyond the frame would take as long to draw as it is large.
    let place = |value: f32, most: u32| (value / canvas.scale as f32).clamp(0.0, most.saturating_sub(1) as f32) as i32;
    let b = face.bounding_box;
    let (left, top) = (place(b.x, width), place(b.y, height));
    let (right, bottom) = (place(b.x + b.width, width), place(b.y + b.height, height));
    let size = Size::new((right - left + 1) as u32, (bottom - top + 1) as u32);
    let stroke = PrimitiveStyle::with_stroke(BOX, 2);
    Rectangle::new(Point::new(left, top), size).into_styled(stroke).draw(canvas)?;

    let label = face.smooth.expression.map_or(String::new(), |label| {
        format!(" {label} {:.0}%", face.smooth.probability(label).unwrap_or_default() * 100.0)
    });
    let text = format!("{}{label}", face.face);
    let chip = Size::new(text.len() as u32 * LETTER.0 + 6, LETTER.1 + 2);
    let x = left.min(width as i32 - chip.width as i32).max(0);
    let y = if top >= chip.height as i32 { top - chip.height as i32 } else { top };
    Rectangle::new(Point::new(x, y), chip).into_styled(PrimitiveStyle::with_fill(DARK)).draw(canvas)?;
    let style = MonoTextStyle::new(&FONT_6X13_BOLD, Rgb888::WHITE);
    Text::with_baseline(&text, Point::new(x + 3, y + 1), style, Baseline::Top).draw(canvas)?;

    let Some(point) = face.smooth.point() else { return Ok(()) };
    // Under the box where there is room, so that the mouth can be seen; else beside it.
    let (width, height) = (width as i32, height as i32);
    let (x, y) = (right - RADIUS, bottom + RADIUS + 3);
    let y = if y + RADIUS < height { y } else { height - RADIUS - 2 };
    let x = if y > bottom { x } else { right + RADIUS + 3 };
    let x = if x + RADIUS < width { x } else { width - RADIUS - 2 };
    draw_circumplex(canvas, point, face.smooth.is_proxy, Point::new(x.max(RADIUS), y.max(RADIUS)))
}

/// Valence to the right, arousal up, as annotators see it.
fn draw_circumplex(canvas: &mut Canvas, at: ValenceArousal, is_proxy: bool, middle: Point) -> Result<(), Infallible> {
    let circle = |middle: Point, radius: i32| Circle::with_center(middle, (2 * radius + 1) as u32);
    let disk = PrimitiveStyleBuilder::new().fill_color(DARK).stroke_color(Rgb888::WHITE).stroke_width(1).build();
    circle(middle, RADIUS).into_styled(disk).draw(canvas)?;
    for arm in [Point::new(RADIUS - 1, 0), Point::new(0, RADIUS - 1)] {
        Line::new(middle - arm, middle + arm).into_styled(PrimitiveStyle::with_stroke(AXIS, 1)).draw(canvas)?;
    }
    let shift = |value: f32| (value * RADIUS as f32).round() as i32;
    let place = middle + Point::new(shift(at.valence.value()), -shift(at.arousal.value()));
    if is_proxy {
        circle(place, 3).into_styled(PrimitiveStyle::with_stroke(POINT, 1)).draw(canvas)?;
        let style = MonoTextStyle::new(&FONT_6X13_BOLD, Rgb888::WHITE);
        let left = middle + Point::new(-(LETTER.0 as i32 * 5) / 2, RADIUS - LETTER.1 as i32);
        Text::with_baseline("proxy", left, style, Baseline::Top).draw(canvas)?;
    } else {
        circle(place, 3).into_styled(PrimitiveStyle::with_fill(POINT)).draw(canvas)?;
    }
    Ok(())
}

/// A frame whose pixels are squares of `scale` pixels.
struct Canvas<'a> {
    image: &'a mut RgbImage,
    scale: u32,
}

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        // The last, incomplete squares count: a frame has at least one.
        Size::new(self.image.width.div_ceil(self.scale), self.image.height.div_ceil(self.scale))
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { continue };
            let span = |at: u32, most: u32| (at * self.scale).min(most)..((at + 1) * self.scale).min(most);
            let columns = span(x, self.image.width);
            for row in span(y, self.image.height) {
                let at = |column: u32| (row as usize * self.image.width as usize + column as usize) * 3;
                for pixel in self.image.pixels[at(columns.start)..at(columns.end)].chunks_exact_mut(3) {
                    pixel.copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use affectory_core::{BoundingBox, Expression};
    use affectory_learn::Prediction;

    #[test]
    fn boxes_anywhere_on_frames_of_any_size_are_drawn_within() {
        let corner = ValenceArousal::clamped(-1.0, 1.0);
        let answer = Prediction {
            expression: Some(Expression::Happy),
            probabilities: vec![(Expression::Happy, 1.0)],
            valence: Some(corner.valence),
            arousal: Some(corner.arousal),
            is_proxy: true,
        };
        let face = |x: f32, y: f32, side: f32| FaceNow {
            face: 7,
            bounding_box: BoundingBox { x, y, width: side, height: side },
            score: None,
            raw: answer.clone(),
            smooth: answer.clone(),
        };
        for (width, height) in [(1, 1), (40, 9), (641, 361), (1281, 1299)] {
            let mut image = RgbImage::filled(width, height, [0; 3]);
            draw_faces(&mut image, &[face(-1e9, -50.0, 1e9), face(3.0, 5.0, 20.0), face(1e9, 300.0, 1e9)]);
            assert!(image.pixels.iter().any(|value| *value > 0), "{width}x{height}");
            assert_eq!(image.pixels.len(), (width * height * 3) as usize);
        }
    }
}
