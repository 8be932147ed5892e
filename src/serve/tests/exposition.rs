//! The Prometheus text format 0.0.4, read strictly:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::BTreeMap;

/// Samples by name with labels, as they are written. All of ours are whole numbers.
pub(super) type Samples = BTreeMap<String, u64>;

/// A family that is being read.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    samples: usize,
}

/// What is exposed.
///
/// # Errors
/// The line that breaks a rule, and the rule.
pub(super) fn read(text: &str) -> Result<Samples, String> {
    let body = text.strip_suffix('\n').ok_or("the last line has no end")?;
    let (mut samples, mut over) = (Samples::new(), Vec::<String>::new());
    let mut family = Family::default();
    for line in body.split('\n') {
        let wrong = |rule: &str| Err(format!("{line:?}: {rule}"));
        if let Some(help) = line.strip_prefix("# HELP ") {
            let Some((name, words)) = help.split_once(' ') else { return wrong("no words") };
            if !is_name(name, true) {
                return wrong("no name of a metric");
            }
            if words.trim() != words || words.contains('\\') {
                return wrong("odd words");
            }
            if family.samples == 0 && !family.name.is_empty() {
                return wrong("the family before has no samples");
            }
            over.push(std::mem::take(&mut family).name);
            if over.iter().any(|before| before == name) {
                return wrong("a family that was there before");
            }
            family.name = name.into();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = kind.split_once(' ') else { return wrong("no type") };
            if name != family.name || !family.kind.is_empty() || family.samples > 0 {
                return wrong("TYPE comes once, after HELP of the same name and before samples");
            }
            if !["counter", "gauge"].contains(&kind) {
                return wrong("a type that is not in use here");
            }
            if (kind == "counter") != name.ends_with("_total") {
                return wrong("counters, and they alone, end in _total");
            }
            family.kind = kind.into();
        } else {
            let Some((series, value)) = line.rsplit_once(' ') else { return wrong("no sample") };
            let name = labels(series).ok_or_else(|| format!("{line:?}: odd labels"))?;
            if name != family.name || family.kind.is_empty() {
                return wrong("a sample outside of its family");
            }
            let Ok(value) = value.parse() else { return wrong("no number") };
            if samples.insert(series.into(), value).is_some() {
                return wrong("the same sample twice");
            }
            family.samples += 1;
        }
    }
    if family.samples == 0 { Err("the last family has no samples".into()) } else { Ok(samples) }
}

/// The name of `name` or `name{label="value",…}`, if the labels are well formed and sorted.
fn labels(series: &str) -> Option<&str> {
    let (name, inside) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').filter(|inside| !inside.is_empty())?),
    };
    let mut last = "";
    for pair in inside.split(',').filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        if !is_name(label, false) || label <= last || value.contains(['"', '\\', '\n']) {
            return None;
        }
        last = label;
    }
    is_name(name, true).then_some(name)
}

fn is_name(name: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn the_parser_refuses_what_prometheus_would() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"1\",c=\"\"} 1\na_total 2\n";
    assert_eq!(read(good).map(|samples| samples.len()), Ok(2));
    for (from, to) in [
        ("2\n", "2"),
        ("# TYPE a_total counter\n", ""),
        ("counter", "count"),
        ("counter", "gauge"),
        ("a_total 2", "b_total 2"),
        ("a_total 2", "a_total two"),
        ("a_total 2", "a_total{b=\"1\",c=\"\"} 2"),
        ("b=\"1\"", "b=1"),
        ("b=\"1\"", "0=\"1\""),
        ("b=\"1\"", "d=\"1\""),
        ("a_total 2\n", "a_total 2\n# HELP a_total A.\n"),
        ("a_total 2\n", "a_total 2\n\n"),
        ("# HELP a_total", "# HELP 0a_total"),
    ] {
        assert_ne!(good.replace(from, to), good);
        assert!(read(&good.replace(from, to)).is_err(), "{from} to {to}");
    }
}
