"""The FastAPI tutorial's example, with the same job."""

from fastapi import BackgroundTasks, FastAPI

from . import job

app = FastAPI()


@app.post("/send-notification/{email}")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(job.deliver, email)
    return {"message": "Notification sent in the background"}
