//! How do shapes become pixels? Each shape says how much of a pixel it covers, and is painted over what is there.

use affectory_imaging::RgbImage;

use crate::arithmetic::{Rgb, blend, cosine, sine, smooth};

/// Linear colours in a square; places are -1 to 1 on both axes, x to the right, y down.
pub(crate) struct Canvas {
    side: usize,
    pixels: Vec<Rgb>,
    turn: [f32; 2],
    zoom: f32,
    shift: [f32; 2],
}

impl Canvas {
    pub(crate) fn new(side: u32) -> Self {
        let side = side as usize;
        Self { side, pixels: vec![[0.0; 3]; side * side], turn: [1.0, 0.0], zoom: 1.0, shift: [0.0; 2] }
    }

    /// What is painted from now on is tilted, enlarged and moved.
    pub(crate) fn pose(&mut self, tilt_radians: f32, zoom: f32, shift: [f32; 2]) {
        self.turn = [cosine(tilt_radians), sine(tilt_radians)];
        self.zoom = zoom;
        self.shift = shift;
    }

    /// Paints with the colour and coverage (0 to 1) that a function gives for each place.
    pub(crate) fn paint(&mut self, shape: impl Fn(f32, f32) -> (Rgb, f32)) {
        let scale = 2.0 / self.side as f32;
        for row in 0..self.side {
            for column in 0..self.side {
                let x = ((column as f32 + 0.5) * scale - 1.0 - self.shift[0]) / self.zoom;
                let y = ((row as f32 + 0.5) * scale - 1.0 - self.shift[1]) / self.zoom;
                let (colour, cover) = shape(x * self.turn[0] + y * self.turn[1], y * self.turn[0] - x * self.turn[1]);
                if cover > 0.0 {
                    let pixel = &mut self.pixels[row * self.side + column];
                    *pixel = blend(*pixel, colour, cover.min(1.0));
                }
            }
        }
    }

    /// A filled ellipse with an edge of one pixel.
    pub(crate) fn ellipse(&mut self, at: [f32; 2], radii: [f32; 2], colour: Rgb) {
        let edge = self.edge() / radii[0].min(radii[1]).max(1e-3);
        self.paint(|x, y| (colour, ellipse_cover(x, y, at, radii, edge)));
    }

    /// A curved line through three points (a quadratic Bézier curve whose control point is `bend`).
    pub(crate) fn stroke(&mut self, from: [f32; 2], bend: [f32; 2], to: [f32; 2], width: f32, colour: Rgb) {
        const PIECES: usize = 10;
        let at = |t: f32| {
            let (a, b, c) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
            [a * from[0] + b * bend[0] + c * to[0], a * from[1] + b * bend[1] + c * to[1]]
        };
        let points: Vec<[f32; 2]> = (0..=PIECES).map(|i| at(i as f32 / PIECES as f32)).collect();
        let edge = self.edge();
        let reach = width + edge;
        let bound = |axis: usize| {
            let values = points.iter().map(|p| p[axis]);
            (values.clone().fold(f32::MAX, f32::min) - reach, values.fold(f32::MIN, f32::max) + reach)
        };
        let ((left, right), (top, bottom)) = (bound(0), bound(1));
        self.paint(|x, y| {
            if x < left || x > right || y < top || y > bottom {
                return (colour, 0.0);
            }
            let nearest = points.windows(2).map(|p| distance(x, y, p[0], p[1])).fold(f32::MAX, f32::min);
            (colour, 1.0 - smooth(width / 2.0 - edge / 2.0, width / 2.0 + edge, nearest))
        });
    }

    /// The length of about one pixel in the units of places.
    pub(crate) fn edge(&self) -> f32 {
        2.0 / (self.side as f32 * self.zoom)
    }

    /// Adds noise and writes bytes (gamma 2, close to sRGB and exact on every machine).
    pub(crate) fn into_image(self, gain: f32, mut noise: impl FnMut() -> f32) -> RgbImage {
        let side = self.side as u32;
        let mut pixels = Vec::with_capacity(self.pixels.len() * 3);
        for colour in self.pixels {
            let grain = noise();
            pixels
                .extend(colour.map(|c| (((c * gain).max(0.0).sqrt() + grain) * 255.0).round().clamp(0.0, 255.0) as u8));
        }
        RgbImage { width: side, height: side, pixels }
    }
}

pub(crate) fn ellipse_cover(x: f32, y: f32, at: [f32; 2], radii: [f32; 2], edge: f32) -> f32 {
    let (dx, dy) = ((x - at[0]) / radii[0].max(1e-3), (y - at[1]) / radii[1].max(1e-3));
    1.0 - smooth(1.0 - edge, 1.0 + edge, (dx * dx + dy * dy).sqrt())
}

/// From a point to a segment.
fn distance(x: f32, y: f32, a: [f32; 2], b: [f32; 2]) -> f32 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let along = (((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy).max(1e-9)).clamp(0.0, 1.0);
    let (ex, ey) = (x - a[0] - along * dx, y - a[1] - along * dy);
    (ex * ex + ey * ey).sqrt()
}
