//! On which hardware does a network learn?

use std::str::FromStr;

use burn::tensor::Device;

use crate::LearnError;

/// On what a network learns. Whatever it is, the run's folder can be gone on with and predicted from on any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hardware {
    /// All cores, by our own operations: the same seed gives the same bits.
    #[default]
    Cpu,
    /// The graphics processor of this number, from 0, by burn's operations (features `cuda` and `wgpu`; with both, NVIDIA's
    /// are used by CUDA if there are any, and else all by wgpu). What depends on the order of a sum differs in its last bits
    /// from one run to the next.
    Gpu(usize),
}

impl Hardware {
    /// Its device.
    ///
    /// # Errors
    /// [`LearnError::Hardware`] if it is not there, or not in this build.
    pub(crate) fn device(self) -> Result<Device, LearnError> {
        match self {
            Hardware::Cpu => Ok(Device::flex()),
            Hardware::Gpu(number) => gpu(number),
        }
    }
}

#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
fn gpu(_number: usize) -> Result<Device, LearnError> {
    let advice = "this build knows no GPU: cargo build --release --features cuda (NVIDIA) or wgpu (any)";
    Err(LearnError::Hardware(advice.into()))
}

/// The one of this number in burn's order.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn gpu(number: usize) -> Result<Device, LearnError> {
    use burn::tensor::DeviceType;

    let ways = [
        #[cfg(feature = "cuda")]
        DeviceType::Cuda,
        #[cfg(feature = "wgpu")]
        DeviceType::Wgpu,
    ];
    let mut found = ways.into_iter().map(|way| Device::enumerate(way).into_vec());
    let all = found.find(|devices| !devices.is_empty()).unwrap_or_default();
    let n_found = all.len();
    let device = all.into_iter().nth(number).ok_or_else(|| {
        LearnError::Hardware(match n_found {
            0 => "the system offers no GPU: is its driver installed?".into(),
            1 => "the system offers only gpu:0".into(),
            _ => format!("the system offers gpu:0 to gpu:{}", n_found - 1),
        })
    })?;
    let name = device.identity().map_or_else(|| "one without a name".to_owned(), |identity| identity.name);
    tracing::info!(gpu = number, name, "learning on a graphics processor");
    Ok(device)
}

impl FromStr for Hardware {
    type Err = LearnError;

    fn from_str(text: &str) -> Result<Self, LearnError> {
        let number = match text {
            "cpu" => return Ok(Hardware::Cpu),
            "gpu" => Some(0),
            _ => text.strip_prefix("gpu:").and_then(|number| number.parse().ok()),
        };
        number.map(Hardware::Gpu).ok_or_else(|| LearnError::Hardware(format!("`{text}` is not cpu, gpu or gpu:1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_is_named_and_what_is_not_there_says_why() {
        let named = |text: &str| text.parse::<Hardware>();
        assert_eq!(named("cpu").unwrap(), Hardware::Cpu);
        assert_eq!(named("gpu").unwrap(), Hardware::Gpu(0));
        assert_eq!(named("gpu:3").unwrap(), Hardware::Gpu(3));
        for wrong in ["", "GPU", "gpu:", "gpu:-1", "cuda"] {
            assert!(named(wrong).unwrap_err().to_string().contains("not cpu, gpu"), "{wrong}");
        }
        let absent = Hardware::Gpu(99).device().unwrap_err().to_string();
        assert!(absent.contains("--features") || absent.contains("the system offers"), "{absent}");
    }
}
