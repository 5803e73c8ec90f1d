//! What does a run look like over its epochs?

use kuva::backend::svg::SvgBackend;
use kuva::plot::LinePlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use crate::checkpoint::Epoch;

/// Training loss and validation scores over epochs as one SVG picture.
pub fn curves_svg(history: &[Epoch]) -> String {
    let line = |name: &str, colour: &str, value: &dyn Fn(&Epoch) -> Option<f64>| {
        let points: Vec<(f64, f64)> =
            history.iter().filter_map(|e| value(e).map(|v| (f64::from(e.epoch), v))).collect();
        (!points.is_empty()).then(|| {
            Plot::Line(LinePlot::new().with_data(points).with_color(colour).with_stroke_width(2.0).with_legend(name))
        })
    };
    let plots: Vec<Plot> = [
        line("training loss", "#888888", &|e| Some(e.train_loss)),
        line("accuracy", "#1b6ca8", &|e| e.scores.accuracy),
        line("macro F1", "#2a9d5c", &|e| e.scores.f1_macro),
        line("valence CCC", "#d1495b", &|e| e.scores.valence_ccc),
        line("arousal CCC", "#edae49", &|e| e.scores.arousal_ccc),
    ]
    .into_iter()
    .flatten()
    .collect();
    let layout = Layout::auto_from_plots(&plots)
        .with_title("Learning curves (scores on the valid split)")
        .with_x_label("epoch")
        .with_y_label("loss / score");
    SvgBackend.render_scene(&render_multiple(plots, layout))
}
