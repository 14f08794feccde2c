"""How does one look at what was measured? One HTML file with tables and charts that needs nothing else."""

from lsr.eval.report.page import report_page
from lsr.eval.report.sections import Measured

__all__ = ["Measured", "report_page"]
