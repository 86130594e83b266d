"""ProxylessNAS's gradients, worked out by hand."""

import numpy as np

# ProxylessNAS's formulas at the gates gradient (0.5, -0.2, 0.1), to twelve digits.
GATES_GRADIENT = np.array([0.5, -0.2, 0.1])
THETA = np.array([[0.0, 0.0, 1.0], [0.3, -0.2, 0.7]])
PROBABILITIES = np.array(
    [
        [0.211941557617, 0.211941557617, 0.576116884766],
        [0.322751874677, 0.195758907471, 0.481489217852],
    ]
)
FULL = np.array(
    [
        [0.080284700662, -0.068074389670, -0.012210310993],
        [0.106387707139, -0.072503829033, -0.033883878106],
    ]
)
PAIR = {  # by edge and pair
    (0, (0, 2)): [0.078644773297, 0.0, -0.078644773297],
    (1, (0, 2)): [0.096104298297, 0.0, -0.096104298297],
    (0, (1, 2)): [0.0, -0.058983579972, 0.058983579972],
}
