//! Which face of this frame is which face of the frames before?
//!
//! A face gets a number when it is born and keeps it while it is followed from frame to frame, or found again where it
//! would be by now. Numbers count from 1 and are never given twice; after a cut nobody keeps one.

use affectory_core::{BoundingBox, Point};
use affectory_faces::Detection;

/// At this overlap of a detection with a followed face, both are one.
const SAME: f32 = 0.3;

/// Two faces that are followed into each other overlap more than two people's do.
const MERGED: f32 = 0.6;

/// A face that was lost is taken up again within this time, seconds.
const KEPT_SECONDS: f64 = 2.0;

/// It may lie so many of its widths from where it would be, and be so many times larger or smaller.
const WITHIN_WIDTHS: f32 = 1.0;
const WITHIN_SIZE: f32 = 1.6;

/// A lost face goes on as it moved for this time, then it is expected to stand; seconds.
const COASTS_SECONDS: f64 = 0.4;

/// A detector so sure makes a person at once. Others wait until they were followed for some frames: what looks like a face
/// for one frame only is no person. The first frames of a face that the detector doubts are not reported.
const SURE: f32 = 0.97;
const FRAMES_OF_DOUBT: u32 = 3;

/// A followed face is in doubt below this score, or if its box has grown or shrunk so many times since the last search.
const CLEAR: f32 = 0.95;
const CLEAR_GROWTH: f32 = 1.15;

/// The speed is a mean over this time, seconds: boxes tremble.
const SPEED_SECONDS: f64 = 0.15;

/// A face in the frame at hand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Followed {
    /// The person's number in this video, from 1.
    pub face: u32,
    /// Where it is.
    pub detection: Detection,
}

/// How following went in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// Everybody was seen again.
    Clear,
    /// Somebody was seen, but a hand or a shadow may have led the box astray.
    Doubtful,
    /// Somebody was lost.
    Lost,
}

/// Everybody who is or was just seen.
#[derive(Debug, Clone, Default)]
pub struct Tracks {
    tracks: Vec<Track>,
    n_born: u32,
}

#[derive(Debug, Clone)]
struct Track {
    /// `None` in doubt.
    face: Option<u32>,
    detection: Detection,
    /// When it was seen last.
    time: f64,
    /// Of its middle, pixels a second.
    speed: [f32; 2],
    n_frames: u32,
    is_lost: bool,
    /// Longer side of the box that the last search found, pixels.
    searched_side: f32,
}

impl Tracks {
    /// Another shot begins: nobody in it is known.
    pub fn cut(&mut self) {
        self.tracks.clear();
    }

    /// Looks for everybody where they would be at `time` (seconds); says how that went for the worst of them.
    pub fn follow(&mut self, time: f64, look: impl Fn(&Detection) -> Option<Detection>) -> Sight {
        self.tracks.retain(|track| time >= track.time && time - track.time <= KEPT_SECONDS);
        let mut sight = Sight::Clear;
        for track in self.tracks.iter_mut().filter(|track| !track.is_lost) {
            match look(&track.expected(time)) {
                Some(detection) => {
                    track.see(detection, time);
                    let growth = longer_side(&detection) / track.searched_side;
                    if detection.score < CLEAR || !(1.0 / CLEAR_GROWTH..=CLEAR_GROWTH).contains(&growth) {
                        sight = sight.max(Sight::Doubtful);
                    }
                }
                None => {
                    track.is_lost = true;
                    sight = Sight::Lost;
                }
            }
        }
        self.part();
        // Who was in doubt and is gone was nobody.
        self.tracks.retain(|track| track.face.is_some() || !track.is_lost);
        self.number();
        sight
    }

    /// Takes in all faces that a search of the whole frame found at `time`.
    pub fn search(&mut self, time: f64, found: &[Detection]) {
        let mut is_known = vec![false; found.len()];
        // Who is in sight comes first, the best overlap before others.
        let pairs = self.pairs(found, |track, found| {
            let overlap = track.detection.bounding_box.iou(found.bounding_box);
            (!track.is_lost && overlap >= SAME).then_some(-overlap)
        });
        self.join(pairs, found, time, &mut is_known);
        let pairs = self.pairs(found, |track, found| {
            let (was, is) = (track.expected(time).bounding_box, found.bounding_box);
            let away = was.centre().distance(is.centre()) / was.width.max(is.width);
            let size = (was.area() / is.area()).sqrt();
            let is_near = away <= WITHIN_WIDTHS && (1.0 / WITHIN_SIZE..=WITHIN_SIZE).contains(&size);
            (track.is_lost && is_near).then_some(away)
        });
        self.join(pairs, found, time, &mut is_known);
        for (detection, _) in found.iter().zip(is_known).filter(|(_, is_known)| !is_known) {
            self.tracks.push(Track {
                face: None,
                detection: *detection,
                time,
                speed: [0.0; 2],
                n_frames: 1,
                is_lost: false,
                searched_side: longer_side(detection),
            });
        }
        self.part();
        self.number();
    }

    /// Everybody in sight, by number.
    pub fn in_sight(&self) -> Vec<Followed> {
        let in_sight = self.tracks.iter().filter(|track| !track.is_lost);
        let mut faces: Vec<Followed> =
            in_sight.filter_map(|track| Some(Followed { face: track.face?, detection: track.detection })).collect();
        faces.sort_by_key(|followed| followed.face);
        faces
    }

    /// Places in `tracks` and in `found` that may be one, the least cost first; equal ones by their places.
    fn pairs(&self, found: &[Detection], cost: impl Fn(&Track, &Detection) -> Option<f32>) -> Vec<(f32, usize, usize)> {
        let mut pairs = Vec::new();
        for (at, track) in self.tracks.iter().enumerate() {
            let costs = found.iter().enumerate().filter_map(|(idx, found)| Some((cost(track, found)?, at, idx)));
            pairs.extend(costs);
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        pairs
    }

    fn join(&mut self, pairs: Vec<(f32, usize, usize)>, found: &[Detection], time: f64, is_known: &mut [bool]) {
        let mut is_joined = vec![false; self.tracks.len()];
        for (_, at, idx) in pairs {
            if !is_joined[at] && !is_known[idx] {
                (is_joined[at], is_known[idx]) = (true, true);
                self.tracks[at].see(found[idx], time);
                self.tracks[at].searched_side = longer_side(&found[idx]);
            }
        }
    }

    /// Of two that were followed onto one face, the older one has it; the other is lost.
    fn part(&mut self) {
        for at in 1..self.tracks.len() {
            let (older, younger) = self.tracks.split_at_mut(at);
            let younger = &mut younger[0];
            let is_on = |other: &Track| {
                !other.is_lost && other.detection.bounding_box.iou(younger.detection.bounding_box) > MERGED
            };
            if !younger.is_lost && older.iter().any(is_on) {
                younger.is_lost = true;
            }
        }
    }

    /// Gives numbers to those that are no longer in doubt.
    fn number(&mut self) {
        for track in self.tracks.iter_mut().filter(|track| track.face.is_none() && !track.is_lost) {
            if track.detection.score >= SURE || track.n_frames > FRAMES_OF_DOUBT {
                self.n_born += 1;
                track.face = Some(self.n_born);
            }
        }
    }
}

fn longer_side(detection: &Detection) -> f32 {
    detection.bounding_box.width.max(detection.bounding_box.height)
}

impl Track {
    /// Where it would be at `time`.
    fn expected(&self, time: f64) -> Detection {
        let seconds = (time - self.time).clamp(0.0, COASTS_SECONDS) as f32;
        let [x, y] = self.speed.map(|speed| speed * seconds);
        let b = self.detection.bounding_box;
        let bounding_box = BoundingBox { x: b.x + x, y: b.y + y, ..b };
        let five = self.detection.five.map(|p| Point { x: p.x + x, y: p.y + y });
        Detection { bounding_box, five, ..self.detection }
    }

    fn see(&mut self, detection: Detection, time: f64) {
        let (was, is) = (self.detection.bounding_box.centre(), detection.bounding_box.centre());
        let seconds = time - self.time;
        // A search in a frame in which it was followed already moves nothing.
        if seconds > 0.0 {
            let share = (1.0 - (-seconds / SPEED_SECONDS).exp()) as f32;
            let now = [is.x - was.x, is.y - was.y].map(|pixels| pixels / seconds as f32);
            for (speed, now) in self.speed.iter_mut().zip(now) {
                *speed += share * (now - *speed);
            }
            self.n_frames = self.n_frames.saturating_add(1);
        }
        (self.detection, self.time, self.is_lost) = (detection, time, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn face(x: f32, y: f32, side: f32) -> Detection {
        let bounding_box = BoundingBox { x, y, width: side, height: side };
        Detection { bounding_box, score: 0.99, five: [Point::default(); 5] }
    }

    /// What following sees: the nearest of the faces there are.
    fn near(faces: &[Detection], last: &Detection) -> Option<Detection> {
        let overlap = |face: &&Detection| face.bounding_box.iou(last.bounding_box);
        let best = faces.iter().max_by(|a, b| overlap(a).total_cmp(&overlap(b)))?;
        (overlap(&best) >= SAME).then_some(*best)
    }

    /// Frames at 25 a second, a search at every `every`th; the numbers seen in each frame.
    fn walk(frames: &[Vec<Detection>], every: usize) -> Vec<Vec<u32>> {
        let mut tracks = Tracks::default();
        let step = |(at, faces): (usize, &Vec<Detection>)| {
            let time = at as f64 / 25.0;
            let sight = tracks.follow(time, |last| near(faces, last));
            if sight == Sight::Lost || at.is_multiple_of(every) {
                tracks.search(time, faces);
            }
            tracks.in_sight().iter().map(|followed| followed.face).collect()
        };
        frames.iter().enumerate().map(step).collect()
    }

    #[test]
    fn who_is_away_for_a_second_is_known_again_and_after_three_a_stranger() {
        let with = |n_away: usize| {
            let frames: Vec<Vec<Detection>> = (0..10)
                .map(|_| vec![face(50.0, 50.0, 80.0)])
                .chain((0..n_away).map(|_| Vec::new()))
                .chain((0..10).map(|_| vec![face(60.0, 40.0, 80.0)]))
                .collect();
            walk(&frames, 5).pop()
        };
        assert_eq!(with(25), Some(vec![1]));
        assert_eq!(with(75), Some(vec![2]));
    }

    #[test]
    fn after_a_cut_nobody_keeps_a_number() {
        let mut tracks = Tracks::default();
        tracks.search(0.0, &[face(0.0, 0.0, 50.0)]);
        tracks.cut();
        tracks.search(0.04, &[face(0.0, 0.0, 50.0)]);
        assert_eq!(tracks.in_sight()[0].face, 2);
    }

    #[test]
    fn a_doubtful_face_of_one_frame_is_nobody_and_one_that_stays_is_somebody() {
        let doubtful = Detection { score: 0.8, ..face(0.0, 0.0, 50.0) };
        let mut tracks = Tracks::default();
        tracks.search(0.0, &[doubtful]);
        assert!(tracks.in_sight().is_empty());
        tracks.follow(0.04, |_| None);
        tracks.search(0.08, &[doubtful]);
        for frame in 3..6 {
            tracks.follow(f64::from(frame) * 0.04, |_| Some(doubtful));
        }
        assert_eq!(tracks.in_sight()[0].face, 1);
    }

    proptest! {
        #[test]
        fn faces_that_pass_without_touching_keep_their_numbers(
            speed in 1.0f32..12.0, gap in 5.0f32..60.0, side in 40.0f32..90.0, every in 1usize..20,
        ) {
            // One to the right above, one to the left below.
            let frames: Vec<Vec<Detection>> = (0..60)
                .map(|at| {
                    let moved = at as f32 * speed;
                    vec![face(moved, 100.0, side), face(600.0 - moved, 100.0 + side + gap, side)]
                })
                .collect();
            let seen = walk(&frames, every);
            prop_assert!(seen.iter().all(|faces| *faces == [1, 2]), "{seen:?}");
        }

        #[test]
        fn numbers_are_never_given_twice_and_follow_from_the_frames(
            frames in prop::collection::vec(
                prop::collection::vec((0f32..600.0, 0f32..400.0, 20f32..120.0), 0..5), 1..60),
            every in 1usize..8,
        ) {
            let frames: Vec<Vec<Detection>> = frames
                .into_iter()
                .map(|faces| faces.into_iter().map(|(x, y, side)| face(x, y, side)).collect())
                .collect();
            let seen = walk(&frames, every);
            prop_assert_eq!(&seen, &walk(&frames, every));
            let mut last = std::collections::HashMap::new();
            let mut most = 0;
            for (at, faces) in seen.iter().enumerate() {
                let mut once = faces.clone();
                once.dedup();
                prop_assert_eq!(&once, faces, "a number twice in one frame");
                for face in faces {
                    if let Some(before) = last.insert(*face, at) {
                        prop_assert!((at - before) as f64 / 25.0 <= KEPT_SECONDS, "{} came back", face);
                    } else {
                        most += 1;
                        prop_assert!(*face <= most, "numbers follow each other");
                    }
                }
            }
        }
    }
}
