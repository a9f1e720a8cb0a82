export const BASE_URL = import.meta.env.VITE_BASE_URL ?? "http://localhost:8080";

const json = { "Content-Type": "application/json" };

export async function fetchGet(url) {
  try {
    const response = await fetch(url, { credentials: "include", headers: json });
    return await response.json();
  } catch (error) {
    console.log(error);
  }
}

export async function fetchPost(url, body) {
  try {
    const response = await fetch(url, { method: "POST", credentials: "include", headers: json, body: JSON.stringify(body) });
    return await response.json();
  } catch (error) {
    console.log(error);
  }
}
