"""The backbone `vace`: Wan2.1-VACE on the engine of `ex4d_backbone_wan`."""
