"""Look of the app, in light and dark: fonts of the system, so that nothing is loaded from other servers."""

from __future__ import annotations

import gradio as gr

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def make_theme() -> gr.Theme:
    """Return the theme."""
    theme: gr.Theme = gr.themes.Soft(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", radius_size="md", font=_SANS, font_mono=_MONO
    ).set(
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_padding="0",
        block_title_text_weight="600",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_padding="*spacing_md 0",
        block_label_background_fill="*background_fill_secondary",
        block_label_background_fill_dark="*background_fill_secondary",
        block_label_text_color="*body_text_color",
        block_label_text_color_dark="*body_text_color",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
    )
    return theme


CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
.ex4d-header h1 { font-size: 1.7rem; margin: 0.4rem 0 0.1rem; }
.ex4d-header p { margin: 0; color: var(--body-text-color-subdued); }
.ex4d-nav { display: flex; flex-wrap: wrap; gap: 0.4rem; margin-top: 0.8rem; padding: 0; list-style: none; }
.ex4d-nav a { display: block; padding: 0.3rem 0.9rem; border-radius: 999px; text-decoration: none;
  border: 1px solid var(--border-color-primary); color: var(--body-text-color);
  background: var(--block-background-fill); }
.ex4d-nav a:hover { border-color: var(--color-accent); }
.ex4d-step { border: 1px solid var(--border-color-primary); border-radius: 14px; padding: 1.1rem;
  background: var(--block-background-fill); }
.ex4d-step .html-container { padding: 0 !important; }
.ex4d-step .column, .ex4d-step .row { min-width: 0; }
.ex4d-step h2 { margin: 0 0 0.15rem; font-size: 1.2rem; }
.ex4d-step h2 + p { margin: 0; color: var(--body-text-color-subdued); }
.ex4d-empty { display: grid; place-items: center; min-height: 7rem; margin: 0; padding: 1rem; text-align: center;
  border: 1px dashed var(--border-color-primary); border-radius: 10px; color: var(--body-text-color-subdued); }
.ex4d-message { margin: 0.3rem 0; }
.ex4d-error { margin: 0.3rem 0; padding: 0.6rem 0.8rem; border-left: 4px solid #dc2626; border-radius: 6px;
  background: color-mix(in srgb, #dc2626 12%, transparent); overflow-x: auto; }
.ex4d-error pre { margin: 0; font-size: 0.85rem; background: none; }
.ex4d-warning { margin: 0.3rem 0; padding: 0.5rem 0.8rem; border-left: 4px solid #d97706; border-radius: 6px;
  background: color-mix(in srgb, #d97706 12%, transparent); }
.ex4d-progress { display: grid; gap: 0.3rem; margin: 0.3rem 0; }
.ex4d-progress progress { width: 100%; height: 0.6rem; accent-color: var(--color-accent); appearance: none;
  border: none; border-radius: 999px; overflow: hidden; background: var(--border-color-primary); }
.ex4d-progress progress::-webkit-progress-bar { background: var(--border-color-primary); }
.ex4d-progress progress::-webkit-progress-value { background: var(--color-accent); }
.ex4d-progress progress::-moz-progress-bar { background: var(--color-accent); }
.ex4d-live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.ex4d-bars { display: flex; align-items: flex-end; gap: 2px; height: 44px; margin: 0.3rem 0; }
.ex4d-bars i { flex: 1; background: var(--color-accent); border-radius: 2px 2px 0 0; min-height: 2px; }
.ex4d-notes { margin: 0.3rem 0; color: var(--body-text-color-subdued); font-size: 0.9rem; }
.ex4d-notes li { overflow-wrap: anywhere; }
.ex4d-step video { max-height: 22rem; }
.ex4d-step .gr-accordion { overflow: visible !important; }
.dark .ex4d-step [role=tab][aria-selected=true], .dark .ex4d-step .download-link { color: var(--primary-300); }
.ex4d-ends { align-items: flex-end; }
.ex4d-step input[type=range]::-webkit-slider-thumb { box-shadow: 0 0 0 1px var(--neutral-400); }
.ex4d-step input[type=range]::-moz-range-thumb { box-shadow: 0 0 0 1px var(--neutral-400); }
.dark .ex4d-step input[type=range] { --neutral-200: var(--neutral-600); }
#ex4d-files .label-clear-button, footer .divider { display: none !important; }
#ex4d-upload, #ex4d-depth-file { border: 1px dashed var(--border-color-primary) !important; border-radius: 10px; }
.ex4d-notes summary { cursor: pointer; }
.ex4d-footer { color: var(--body-text-color-subdued); font-size: 0.85rem; }
button:focus-visible, a:focus-visible, summary:focus-visible, input:focus-visible, textarea:focus-visible,
[role=tab]:focus-visible { outline: 3px solid var(--color-accent) !important; outline-offset: 2px; }
@media (max-width: 640px) { .ex4d-step { padding: 0.7rem; }
  .gradio-container, .gradio-container main { padding: 0.25rem !important; } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
"""

PLAY_BOTH = """() => {
  const videos = document.querySelectorAll("#ex4d-input video, #ex4d-result video");
  videos.forEach(video => { video.currentTime = 0; video.loop = true; video.play(); });
}"""
"""Starts input and result at the same time."""
