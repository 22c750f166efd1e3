"""Two training runs in one picture: their losses above, their relative difference below."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot  # noqa: E402

INK, FAINT = "#22303c", "#d9dee3"
BOREAL, PYTORCH = "#0b7a75", "#f2a65a"


def column(rows, key):
    """(steps, values) of the rows that have the key."""
    have = [row for row in rows if key in row]
    return [row["step"] for row in have], [row[key] for row in have]


def smooth(values, reach=10):
    """Mean over `reach` neighbours on each side, fewer at the ends."""
    windows = [values[max(0, i - reach) : i + reach + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def style(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)


def draw_losses(axes, ours, theirs):
    # One curve lies on the other: the wide pale line shows under the narrow dark one.
    for rows, name, colour, width in ((theirs, "PyTorch", PYTORCH, 5), (ours, "boreal", BOREAL, 1.6)):
        steps, losses = column(rows, "loss")
        axes.plot(steps, smooth(losses), color=colour, linewidth=width, label=f"{name}, training, mean of 21 steps", solid_capstyle="round")
        steps, losses = column(rows, "validation_loss")
        size = 110 if name == "PyTorch" else 26
        axes.scatter(steps, losses, s=size, color=colour, zorder=3, label=f"{name}, validation {losses[-1]:.3f}")
    axes.set_ylabel("loss [nats a token]", color=INK)
    axes.legend(frameon=False, labelcolor=INK)


def draw_difference(axes, ours, theirs):
    axes.axhspan(-1, 1, color=BOREAL, alpha=0.07, linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    for key, colour, label in (("loss", FAINT, "training step"), ("validation_loss", BOREAL, "validation")):
        (steps, a), (_, b) = column(ours, key), column(theirs, key)
        percent = [100 * (x / y - 1) for x, y in zip(a, b)]
        if key == "loss":
            axes.plot(steps, percent, color="#9aa7b2", linewidth=0.8, label=label)
        else:
            axes.plot(steps, percent, color=colour, marker="o", markersize=4, linewidth=1.2, label=label)
    axes.set_ylabel("boreal − PyTorch [%]", color=INK)
    axes.set_xlabel("step", color=INK)
    axes.set_ylim(-2, 2)
    axes.legend(frameon=False, labelcolor=INK, ncols=2, loc="upper right")


def draw(path, ours, theirs):
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "none"})
    figure, (top, bottom) = pyplot.subplots(
        2, 1, figsize=(8, 6), height_ratios=(3, 1.3), sharex=True, layout="constrained"
    )
    draw_losses(top, ours, theirs)
    draw_difference(bottom, ours, theirs)
    for axes in (top, bottom):
        style(axes)
    figure.suptitle("The same weights and batches, trained by boreal and by PyTorch", color=INK, x=0.02, ha="left")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
