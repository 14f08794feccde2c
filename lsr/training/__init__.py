"""How does an encoder learn? Data, losses, penalties, schedules and teachers, put together by a recipe."""
