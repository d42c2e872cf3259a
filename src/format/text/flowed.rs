//! Paragraphs of format=flowed text (RFC 3676) on one line each, so that a phrase is found wherever it was broken.

/// Joins the lines of `text`. With `delsp` the blank at a soft break is not part of the text (RFC 3676 4.2), which is
/// how Chinese words and long addresses are broken.
pub(super) fn unflow(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // The depth of the paragraph that the next line may go on with.
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let ended = line.ends_with('\n');
        let line = line.trim_end_matches(['\r', '\n']);
        let content = line.trim_start_matches('>');
        let depth = line.len() - content.len();
        // A blank behind the quote marks was stuffed (4.4).
        let content = content.strip_prefix(' ').unwrap_or(content);
        let is_signature = content == "-- ";
        if open.is_some_and(|open| open != depth || is_signature) {
            out.push('\n');
            open = None;
        }
        if open.is_none() && depth > 0 {
            out.push_str(&line[..depth]);
            out.push(' ');
        }
        if content.ends_with(' ') && !is_signature {
            out.push_str(if delsp { &content[..content.len() - 1] } else { content });
            open = Some(depth);
        } else {
            out.push_str(content);
            open = None;
            if ended {
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_breaks_join_and_hard_breaks_stay() {
        assert_eq!(unflow("the \r\nlast \r\ninvoice\r\n\r\nnext\r\n", false), "the last invoice\n\nnext\n");
        assert_eq!(unflow("in \nvo \nice", true), "invoice");
        assert_eq!(unflow(" stuffed\n >no quote\n From x", false), "stuffed\n>no quote\nFrom x");
        assert_eq!(unflow("end \n", false), "end ");
    }

    #[test]
    fn quotes_join_only_at_their_own_depth() {
        assert_eq!(unflow(">> a \n>> b\n> c \nd\n", false), ">> a b\n> c \nd\n");
        assert_eq!(unflow("> a \n> -- \n> me \n-- \nyou", false), "> a \n> -- \n> me \n-- \nyou");
    }
}
